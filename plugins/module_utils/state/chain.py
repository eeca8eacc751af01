# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed iptables chains, and the jumps to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .family import IPV4, IPV6

NAME_LENGTH = 28  # bytes without the final zero: XT_EXTENSION_MAXNAMELEN (29), include/uapi/linux/netfilter/x_tables.h
POOL_TABLES = ("mangle", "raw")  # those that pools have chains in
VARIANTS = ("nft", "legacy")
PROGRAMS = {IPV4: "iptables", IPV6: "ip6tables"}
#: The built-in chains by table; tables by their priority, chains by the path of a packet (include/uapi/linux/netfilter_ipv4.h).
BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
BUILT_IN_CHAINS = frozenset(chain for chains in BUILT_IN.values() for chain in chains)


class ChainKey(NamedTuple):
    """What identifies a chain."""

    family: str
    table: str
    name: str


class ChainSetKey(NamedTuple):
    """What identifies a set of chains."""

    variant: str
    family: str


@dataclass(frozen=True, order=True)
class Chain:
    """One managed chain.

    :param family: ``ipv4`` (iptables) or ``ipv6`` (ip6tables).
    :param table: a key of :data:`BUILT_IN`.
    :param name: starts with the chain prefix of :class:`Ownership`, at most :data:`NAME_LENGTH` bytes.
    :param rules: each as ``iptables-save`` prints it, without ``-A NAME``.
    :param hook: the built-in chain whose first rule jumps here; ``""`` for a chain that only managed chains jump to.
    :param condition: the matches of that jump, as ``iptables-save`` prints them; ``""`` if all packets jump.
    """

    family: str
    table: str
    name: str
    rules: tuple[str, ...] = ()
    hook: str = ""
    condition: str = ""

    @property
    def key(self) -> ChainKey:
        """What identifies a chain."""
        return ChainKey(self.family, self.table, self.name)

    def __str__(self) -> str:
        condition = f" for {self.condition}" if self.condition else ""
        jump = f", first in {self.hook}{condition}" if self.hook else ""
        return f"{self.family} {self.table} {self.name} ({len(self.rules)} rules{jump})"


@dataclass(frozen=True)
class ChainSet:
    """All managed chains of one family in one variant of iptables: what one ``iptables-restore`` writes.

    :param stray_jumps: table, chain and rule of every jump to a managed chain that is not the first rule of its hook
        (something was inserted before it, or it exists twice), sorted, duplicates included; a desired set has none.
    """

    variant: str
    family: str
    chains: frozenset[Chain] = frozenset()
    stray_jumps: tuple[tuple[str, str, str], ...] = ()

    @property
    def key(self) -> ChainSetKey:
        """What identifies a set of chains."""
        return ChainSetKey(self.variant, self.family)

    def __str__(self) -> str:
        names = ", ".join(f"{chain.table} {chain.name}" for chain in sorted(self.chains))
        return f"{self.family} ({self.variant}): {names or 'none'}"


def chain_sets(variant: str, chains: Iterable[Chain]) -> frozenset[ChainSet]:
    """Return the chains as one set for each family that has any."""
    by_family: dict[str, set[Chain]] = {}
    for chain in chains:
        by_family.setdefault(chain.family, set()).add(chain)
    return frozenset(ChainSet(variant, family, frozenset(members)) for family, members in by_family.items())


def unreadable_table(family: str, table: str) -> str:
    """Return why iptables cannot print a table of iptables-nft, and the command that shows it, as part of a sentence."""
    command = f"nft -a list table {'ip6' if family == IPV6 else 'ip'} {table}"
    return (
        f"the {family} table {table} of iptables-nft holds rules that iptables cannot print, added by nft or by another program"
        f' that uses nf_tables directly; "{command}" shows them'
    )
