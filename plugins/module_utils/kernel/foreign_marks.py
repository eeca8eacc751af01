# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign rules of iptables and nftables that use marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..state import Ownership
from ..state.family import FAMILIES
from ..state.iptables_rule import split_rule, targets
from ..state.mark_use import MarkUse, concerning, uses_in_words
from .iptables import programs
from .iptables.tables import has_legacy_tables
from .netlink.nf_tables import nft_all_chains, nft_mark_uses, nft_tables

_OF_IPTABLES = ("ip", "ip6")
_FAMILIES = ("inet", "ip", "ip6", "netdev", "bridge")
# A node with 5,000 services has 70,000 rules in these tables; of kube-proxy's and the kubelet's, only these use a mark.
_LARGE_TABLES = {
    "nat": ("KUBE-MARK-MASQ", "KUBE-MARK-DROP", "KUBE-POSTROUTING"),
    "filter": ("KUBE-FIREWALL", "KUBE-FORWARD"),
    "kube-proxy": ("mark-for-masquerade", "masquerading"),
}
# Chains of these tables in which others may check the sources of packets.
_HOOKED = ("PREROUTING", "prerouting", "input", "forward")
# Those with a rule or more for each service; none of them uses a mark (pkg/proxy/iptables, pkg/proxy/nftables).
_OF_SERVICES = re.compile(
    r"KUBE-(?:SVC|SEP|EXT|FW|XLB)-.*|KUBE-(?:SERVICES|NODEPORTS|EXTERNAL-SERVICES|PROXY-FIREWALL)"
    r"|(?:service|endpoint|external|firewall)-.*|services"
)


def read(mask: int, ownership: Ownership, *, thorough: bool) -> tuple[frozenset[MarkUse], frozenset[tuple[str, str]]]:
    """Return the uses of marks that concern packets whose marks have bits of the mask only.

    Also return family and name of the tables of nf_tables that have rules which check the sources of packets.

    :param thorough: read all chains but those of services. Otherwise no program is started, and of the tables that may be very
        large only the chains are read in which kube-proxy uses marks.
    :raises NodeError: the kernel does not list its rules.
    """
    tables = [(family, table) for family, table in sorted(nft_tables()) if family in _FAMILIES]
    large = [(family, table) for family, table in tables if family in _OF_IPTABLES and table in _LARGE_TABLES]
    parts = [(family, table, "") for family, table in tables if (family, table) not in large]
    parts += _chains_with_marks(large) if thorough else _chains_of_kube_proxy(large)
    rules, checking = nft_mark_uses(parts, ownership.chain_prefix)
    if thorough:
        rules += _legacy_rules(ownership)
    return frozenset(use for uses in rules for use in concerning(uses, mask)), checking


def _chains_of_kube_proxy(tables: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    for family, table in tables:
        for chain in (*_LARGE_TABLES[table], *_HOOKED):
            yield family, table, chain


def _chains_with_marks(tables: list[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    for family in sorted({family for family, _table in tables}):
        for table, chain in nft_all_chains(family):
            if (family, table) in tables and not _OF_SERVICES.fullmatch(chain):
                yield family, table, chain


def _legacy_rules(ownership: Ownership) -> list[tuple[MarkUse, ...]]:
    families = [family for family in FAMILIES if has_legacy_tables(family)]
    commands = [command for command in (programs.find("legacy", family, "save") for family in families) if command]
    return [
        uses
        for completed in programs.run_together(commands)
        for uses in _uses_in(completed.stdout, ownership)
        if completed.returncode == 0 and uses
    ]


def _uses_in(saved: str, ownership: Ownership) -> Iterator[tuple[MarkUse, ...]]:
    table = ""
    for line in saved.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A ") and "mark" in line and not line.startswith(f"-A {ownership.chain_prefix}"):
            words = split_rule(line)
            if any(name.startswith(ownership.chain_prefix) for name in targets(words)):
                continue
            yield tuple(uses_in_words(words[2:], f"{words[1]} of table {table} (iptables-legacy)"))
