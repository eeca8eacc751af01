# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign rules of iptables and nftables that drop packets because of their source, and which packets reach them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from .family import IPV4, IPV6

LINK, PROTOCOL, ICMP_TYPE, MARK = "link", "protocol", "icmp-type", "mark"
ACCEPT, DROP, RETURN, JUMP, GOTO = "accept", "drop", "return", "jump", "goto"
PREROUTING, INPUT, FORWARD, INGRESS = "prerouting", "input", "forward", "ingress"
#: Priority at which packets get their marks, in PREROUTING, and lose them, in INPUT (``NF_IP_PRI_MANGLE``).
MANGLE = -150
_FAMILIES = {IPV4: ("ip", "inet", "netdev"), IPV6: ("ip6", "inet", "netdev")}
_DEEPEST = 16  # jumps that are followed; the kernel's limit is the same

Value = Union[str, int, tuple[int, int]]


@dataclass(frozen=True)
class Condition:
    """A condition of a rule.

    :param values: any of which fulfils it: names of links, which may end with ``*``; numbers; values and masks of marks.
    :param negated: none of which fulfils it.
    """

    subject: str
    values: frozenset[Value]
    negated: bool = False


@dataclass(frozen=True)
class SourceCheck:
    """A condition about the route back to the source of a packet (``fib saddr``, ``-m rpfilter``).

    :param uses_mark: the route is looked up with the packet's mark.
    :param strict: it must lead over the link that the packet has arrived on.
    :param missing: the condition is fulfilled if there is no such route.
    :param bound: IPv6 looks it up as for a socket that is bound to the link.
    """

    uses_mark: bool
    strict: bool
    missing: bool
    bound: bool = False


@dataclass(frozen=True)
class FilterRule:
    """What a rule does, as far as it matters.

    :param text: in the words of iptables or nft.
    :param verdict: ``""`` to continue with the next rule.
    :param target: the chain of a jump.
    :param uncertain: the rule has further conditions.
    """

    text: str
    verdict: str = ""
    target: str = ""
    conditions: tuple[Condition, ...] = ()
    check: SourceCheck | None = None
    uncertain: bool = False


@dataclass(frozen=True)
class FilterChain:
    """A chain with all its rules.

    :param family: ``ip``, ``ip6``, ``inet`` or ``netdev``.
    :param hook: ``""`` if it is reached by jumps only.
    :param policy: :data:`ACCEPT` or :data:`DROP`.
    :param program: ``nft`` or ``iptables-legacy``; names in tables of both may be equal.
    """

    family: str
    table: str
    name: str
    rules: tuple[FilterRule, ...] = ()
    hook: str = ""
    priority: int = 0
    policy: str = ACCEPT
    program: str = "nft"

    def __str__(self) -> str:
        return f"chain {self.name} of table {self.family} {self.table} ({self.program})"

    @property
    def sees_marks(self) -> bool:
        """Whether the marks of requests are set where this chain is hooked."""
        if self.hook == PREROUTING:
            return self.priority > MANGLE or (self.priority == MANGLE and self.name == "PREROUTING")
        return self.hook == FORWARD or (self.hook == INPUT and self.priority < MANGLE)


@dataclass(frozen=True)
class ArrivingPacket:
    """A packet from another host.

    :param values: possible ones by subject; a subject that is missing is unknown.
    :param own_bits: bits of the mark that it may have; it has no others.
    :param has_way_back: whether the check finds a route, given whether it uses a mark that is set.
    """

    family: str
    link: str
    values: Mapping[str, Collection[Value]]
    own_bits: int
    has_way_back: Callable[[SourceCheck, bool], bool]


def dropped_by(packet: ArrivingPacket, chains: Sequence[FilterChain]) -> Iterator[tuple[FilterChain, FilterRule]]:
    """Yield the rules that drop, or may drop, the packet because of its source, one for each hooked chain at most."""
    for chain in chains:
        if chain.hook in (PREROUTING, INPUT, FORWARD, INGRESS) and chain.family in _FAMILIES[packet.family]:
            walk = _Walk(packet, chain, chains)
            walk.through(chain, None, 0)
            if walk.culprit is not None:
                yield chain, walk.culprit


class _Walk:
    """The way of a packet through a hooked chain.

    :param culprit: the rule because of whose check it is dropped.
    """

    def __init__(self, packet: ArrivingPacket, base: FilterChain, chains: Sequence[FilterChain]) -> None:
        self._packet, self._base = packet, base
        self._chains = {
            one.name: one
            for one in chains
            if (one.family, one.table, one.program) == (base.family, base.table, base.program)
        }
        self.culprit: FilterRule | None = None

    def through(self, chain: FilterChain, failed: FilterRule | None, depth: int) -> str:
        """Go through a chain; return the verdict, ``""`` if it is none.

        :param failed: the rule whose check the packet has failed, if any: then it is the reason of a drop.
        """
        for rule in chain.rules:
            matched = self._matches(rule)
            if matched is None:
                if rule.verdict in (ACCEPT, RETURN) and rule.check is not None and not rule.uncertain:
                    failed = failed or rule  # what has a route back leaves the chain here
                continue
            reason = rule if rule.check is not None and rule.check.missing else failed
            verdict = rule.verdict
            if verdict in (JUMP, GOTO) and rule.target in self._chains and depth < _DEEPEST:
                verdict = self.through(self._chains[rule.target], reason, depth + 1) or (
                    RETURN if rule.verdict == GOTO else ""
                )
            elif verdict == DROP and reason is not None and (matched or reason is rule):
                self.culprit = self.culprit or reason
            if matched and verdict in (ACCEPT, DROP, RETURN):
                return "" if verdict == RETURN else verdict
        if chain is self._base and chain.policy == DROP and failed is not None:
            self.culprit = self.culprit or failed
        return ""

    def _matches(self, rule: FilterRule) -> bool | None:
        """Return whether the rule certainly matches, None if it does not match."""
        results = [self._fulfils(one) for one in rule.conditions]
        if rule.check is not None:
            uses_mark = rule.check.uses_mark and self._base.sees_marks
            results.append(self._packet.has_way_back(rule.check, uses_mark) != rule.check.missing)
        if False in results:
            return None
        return not rule.uncertain and None not in results

    def _fulfils(self, test: Condition) -> bool | None:
        """Return None if that is not known."""
        if test.subject == LINK:
            found: bool | None = any(_is_link(str(value), self._packet.link) for value in test.values)
        elif test.subject == MARK:
            found = self._has_mark(test.values)
        else:
            possible = self._packet.values.get(test.subject)
            if possible is None:
                return None
            hits = [one in test.values for one in possible]
            found = any(hits) if all(hits) or not any(hits) else None
        return found if found is None else found != test.negated

    def _has_mark(self, values: Collection[Value]) -> bool | None:
        results = [None if mask & self._packet.own_bits else value == 0 for value, mask in _masked(values)]
        return None if None in results else any(results)


def _masked(values: Collection[Value]) -> Iterator[tuple[int, int]]:
    for value in values:
        if isinstance(value, tuple):
            yield value


def _is_link(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
