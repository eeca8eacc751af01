# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube-proxy's rules in a namespace, managed chains, and what iptables-save shows of both."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import restore, tables
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Chain, ChainSet, Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.lab.kube_proxy_rules import fixture
from tests.support.namespace import Namespace

OWNERSHIP = Ownership()
VARIANTS = ("nft", "legacy")
STEMS = {"ipv4": "iptables", "ipv6": "ip6tables"}


def load(namespace: Namespace, variant: str, family: str, text: str) -> None:
    """Load the text with iptables-restore, beside the existing rules."""
    namespace.run([f"{STEMS[family]}-{variant}-restore", "--noflush", "-w"], text)


def load_kube_proxy(namespace: Namespace, variant: str) -> None:
    """Load the rules of a real kube-proxy, of both families."""
    for family, stem in STEMS.items():
        load(namespace, variant, family, fixture("node1", f"{stem}-save"))


def saved(namespace: Namespace, variant: str, family: str = "ipv4", leave_out: str = "#") -> list[str]:
    """Return the output of iptables-save, each line behind the name of its table.

    Without comments, counters, and tables that have no rule and no chain: iptables creates a whole table for the first
    rule, and lists the tables in the order of their creation.

    :param leave_out: also lines with this in them.
    """
    found: dict[str, list[str]] = {}
    table: list[str] = []
    for line in namespace.run([f"{STEMS[family]}-{variant}-save"]).splitlines():
        if line.startswith("*"):
            table = found.setdefault(line[1:], [])
        elif line.startswith((":", "-A ")) and leave_out not in line:
            table.append(line.split(" [")[0] if line.startswith(":") else line)
    used = {name for name, lines in found.items() if any(line.startswith("-A ") or line[-1] == "-" for line in lines)}
    return [f"{name} {line}" for name in sorted(used) for line in found[name]]


def foreign(namespace: Namespace, variant: str, family: str = "ipv4") -> list[str]:
    """Return the lines of iptables-save without managed chains and jumps to them."""
    return saved(namespace, variant, family, leave_out="HOMEWARD-")


def rules_of(namespace: Namespace, variant: str, family: str, table: str, chain: str) -> list[str]:
    """Return the rules of one chain as iptables-save prints them, without ``-A NAME``."""
    lines = namespace.run([f"{STEMS[family]}-{variant}-save", "-t", table]).splitlines()
    own = [line.split(" ", 2) for line in lines if line.startswith("-A ") and line.split(" ", 2)[1] == chain]
    return ["".join(words[2:]) for words in own]


def chain(name: str, *rules: str, hook: str = "", table: str = "mangle", family: str = "ipv4") -> Chain:
    return Chain(family, table, f"HOMEWARD-{name}", rules, hook)


def chains(variant: str, *members: Chain, family: str = "ipv4", stray: Iterable[tuple[str, str, str]] = ()) -> ChainSet:
    return ChainSet(variant, family, frozenset(members), tuple(sorted(stray)))


def read(namespace: Namespace, variant: str = "auto") -> tables.IptablesState:
    return namespace.call(tables.read, variant, OWNERSHIP)


def current(namespace: Namespace, variant: str, family: str = "ipv4") -> ChainSet:
    """Return the managed chains of a variant and family."""
    return next(item for item in read(namespace, variant).chain_sets if item.key == (variant, family))


def write(namespace: Namespace, *sets: ChainSet) -> None:
    """Change the managed chains from each of the sets to the next."""
    for before, after in pairwise(sets):
        namespace.call(restore.write, [Step("chains", before, after)], OWNERSHIP)
