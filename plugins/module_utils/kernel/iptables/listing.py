# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads some tables of iptables-nft on nodes with very many rules in others.

``iptables-nft-save``, even of one table, first reads all chains of all tables, and starts again whenever any rule has changed
meanwhile. With 5,000 services that takes seconds, and it never ends while kube-proxy changes rules several times a second. The
command ``-S CHAIN`` reads one chain only; ``iptables-nft-restore`` accepts many of them at once and then writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...state import Ownership
from ...state.chain import ChainSetKey
from ...state.iptables_save import HINTS, SERVICES_CHAIN, ParsedTables, parse_save
from ..netlink.nf_tables import nft_has_chain, nft_rule_chains
from . import programs

TRIES = 3  # a chain may be deleted between the two steps

_Listed = Sequence[tuple[str, str]]  # table and chain


def read_tables(key: ChainSetKey, tables: Sequence[str], ownership: Ownership) -> ParsedTables | None:
    """Return what some tables of iptables-nft contain, without empty chains; None if they cannot be listed this way.

    :raises NodeError: the kernel does not list its rules, or the program cannot be started.
    """
    command = programs.find(*key, "restore")
    for _try in range(TRIES if command else 0):
        listed = [(table, chain) for table in tables for chain in nft_rule_chains(key.family, table)]
        completed = programs.run((*command, "--noflush"), "".join(_requests(listed))) if listed else None
        if completed is None or completed.returncode == 0:
            text = "" if completed is None else "\n".join(_as_saved(completed.stdout, listed))
            return parse_save(f"{text}\n{_empty_chains(key.family)}", *key, ownership)
    return None


def _requests(listed: _Listed) -> Iterator[str]:
    for table in dict.fromkeys(table for table, _chain in listed):
        chains = "".join(f"-S {chain}\n" for other, chain in listed if other == table)
        yield f"*{table}\n{chains}COMMIT\n"


def _as_saved(output: str, listed: _Listed) -> Iterator[str]:
    """Yield the lines as ``iptables-save`` prints them: for each table all chains, in the order asked for, and then the rules."""
    rest = list(listed)
    chains: dict[str, list[str]] = {}
    rules: dict[str, list[str]] = {}
    table = ""
    for line in output.split("\n"):
        words = line.split(" ")
        if rest and words[0] in ("-N", "-P") and words[1:2] == [rest[0][1]]:
            table, chain = rest.pop(0)
            chains.setdefault(table, []).append(f":{chain} {words[2] if words[0] == '-P' else '-'} [0:0]")
        else:
            rules.setdefault(table, []).append(line)
    for name, declared in chains.items():
        yield from (f"*{name}", *declared, *rules.get(name, ()))


def _empty_chains(family: str) -> str:
    """Return the chains without rules that matter."""
    hints = [f":{name} - [0:0]" for name in HINTS if nft_has_chain(family, "mangle", name)]
    services = [f":{SERVICES_CHAIN} - [0:0]"] if nft_has_chain(family, "nat", SERVICES_CHAIN) else []
    return "\n".join(["*mangle", *hints, "*nat", *services, ""])
