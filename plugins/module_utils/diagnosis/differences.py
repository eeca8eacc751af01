# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the kernel that are not what the pools need, and what foreign thing is the reason; pure."""

from __future__ import annotations

import errno
import sys
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from ..state import Node, Route, Rule
from ..state.family import FAMILY_NAMES, IPV4, IPV6, contains
from ..state.route import LOCAL_TABLE
from ..state.route_lookup import RouteAnswer, RouteQuestion
from .expectations import ANY_ROUTE, BOUND, ON_LINK, REPLY, REQUEST, Answers, Expectation
from .finding import FAILURE, WARNING, Finding

SILENT = "silent"
#: By kind of packet, or by reason: the identifier of the finding, and what happens.
IDENTIFIERS = {
    REPLY: "reply-diverted",
    REQUEST: "request-diverted",
    BOUND: "speaker-diverted",
    ON_LINK: "link-diverted",
    ANY_ROUTE: "no-route-for-replies",
    SILENT: "gateway-silent",
}
#: Of packets that are forwarded, and of those for the node (``fib_validate_source``, net/ipv4/route.c).
_INVALID_SOURCE = (errno.EXDEV, errno.EINVAL)
_TERMINAL = {"unreachable": errno.ENETUNREACH, "blackhole": errno.EINVAL, "prohibit": errno.EACCES}


@dataclass(frozen=True)
class Difference:
    """An answer that is not as it must be.

    :param answer: of the kernel.
    :param rule: the foreign rule that is in the way, if any.
    :param route: the foreign route in the table of the pools, if any.
    """

    expectation: Expectation
    answer: RouteAnswer
    rule: Rule | None = None
    route: Route | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether something foreign explains it: a rule, a route, or a link other than that of the pools."""
        refused = self.is_not_forwarded or (self.is_refused_as_forged and self.expectation.kind != REQUEST)
        return self.rule is not None or self.route is not None or refused or self.is_silent_gateway

    @property
    def is_silent_gateway(self) -> bool:
        """Whether IPv6 has given up the route through a gateway that does not answer, which it does without forwarding only.

        See ``ip6_pol_route`` and ``rt6_check_neigh``, net/ipv6/route.c.
        """
        expected = self.expectation.expected
        by_gateway = expected is not None and bool(expected.gateway) and self.expectation.question.family == IPV6
        return by_gateway and self.answer.errno == errno.EHOSTUNREACH and self.rule is None and self.route is None

    @property
    def is_refused_as_forged(self) -> bool:
        """Whether the link's source validation refuses the packet."""
        question = self.expectation.question
        return bool(question.iif) and question.family == IPV4 and self.answer.errno in _INVALID_SOURCE

    @property
    def is_not_forwarded(self) -> bool:
        """Whether the link does not forward packets."""
        question = self.expectation.question
        return bool(question.iif) and question.family == IPV4 and self.answer.errno == errno.EHOSTUNREACH

    @property
    def _refused_by(self) -> str:
        """Return why the link or the gateway does not take the packet, ``""`` if that is not the reason."""
        question = self.expectation.question
        if self.is_refused_as_forged:
            return f"{question.iif} validates sources (rp_filter) and refuses it"
        if self.is_silent_gateway and self.expectation.expected is not None:
            return f"{self.expectation.expected.gateway} does not answer neighbour solicitations"
        if self.is_not_forwarded:
            return f"{question.iif} does not forward packets"
        return ""

    @property
    def described(self) -> str:
        """Return which packet goes where instead of where, a clause."""
        one = self.expectation
        way = "gets" if self.answer.refusal else "takes the route"
        instead = f" instead of {one.expected}" if one.expected is not None else ""
        return f"{one.packet} {way} {self.answer}{instead}"

    @property
    def reason(self) -> str:
        """Return what is in the way, ``""`` if that is unknown."""
        if self.rule is not None:
            return f'the rule "{self.rule}", which is managed by someone else, matches it first'
        if self.route is not None:
            return f'the route "{self.route}", which is managed by someone else, is in the table of the pools'
        return self._refused_by


def find_differences(expected: Iterable[Expectation], answers: Answers, node: Node) -> tuple[Difference, ...]:
    """Compare the answers with the expected ones."""
    return tuple(_differences(expected, answers, node))


def _differences(expected: Iterable[Expectation], answers: Answers, node: Node) -> Iterator[Difference]:
    for one in expected:
        answer = answers[one.question]
        if _is_right(one, answer, node):
            continue
        route = _foreign_route(one, answer, node.foreign_routes)
        yield Difference(one, answer, None if route else foreign_rule(one.question, answer, node), route)


def _is_right(one: Expectation, answer: RouteAnswer, node: Node) -> bool:
    if one.expected is None:
        return not answer.refusal
    return answer.is_same_path(one.expected) or _is_other_hop(one.question, answer, one.expected, node.foreign_routes)


def _is_other_hop(question: RouteQuestion, answer: RouteAnswer, expected: RouteAnswer, routes: Iterable[Route]) -> bool:
    """Whether both are next hops of one route. The kernel distributes packets among these by addresses and links.

    So two questions about the same packet may get different hops, if one of them lacks the link (``fib_multipath_hash``).
    """
    hops: dict[Hashable, set[tuple[str, str]]] = {}
    for route in routes:
        if route.multipath and route.family == question.family and contains(route.destination, question.destination):
            hops.setdefault(route.key, set()).add((route.interface, route.gateway))
    both = {(one.interface, one.gateway) for one in (answer, expected)}
    return any(both <= found for found in hops.values())


def _foreign_route(one: Expectation, answer: RouteAnswer, routes: Iterable[Route]) -> Route | None:
    """Return the foreign route in the pools' table that the kernel has chosen."""
    if not one.table or (answer.table != one.table and not answer.refusal):
        return None
    found = [
        route
        for route in routes
        if route.table == one.table
        and route.family == one.question.family
        and contains(route.destination, one.question.destination)
        and (answer.refusal or (route.interface, route.gateway) == (answer.interface, answer.gateway))
    ]
    return max(found, key=lambda route: int(route.destination.rpartition("/")[2]), default=None)


def foreign_rule(question: RouteQuestion, answer: RouteAnswer, node: Node) -> Rule | None:
    """Return the first foreign rule that matches the packet and explains the answer.

    The kernel's own rules, for the tables local, main and default, are no explanation.
    """
    leads_nowhere = {route.table for route in node.foreign_routes if route.type in _TERMINAL}
    for rule in sorted(node.foreign_rules, key=lambda rule: (rule.priority, rule)):
        if rule.family != question.family or not matches(rule, question):
            continue
        if rule.action in _TERMINAL and answer.errno == _TERMINAL[rule.action]:
            return rule
        if rule.action != "lookup" or rule.table == LOCAL_TABLE:
            continue
        if answer.refusal:
            if rule.table in leads_nowhere:
                return rule
        elif rule.table == answer.table and not _is_kernels(rule):
            return rule
    return None


def _is_kernels(rule: Rule) -> bool:
    return rule.matches_all and rule.priority in (0, 32766, 32767)


def matches(rule: Rule, question: RouteQuestion) -> bool:
    """Whether the kernel's rule matches the packet of a question (``fib_rule_match``, net/core/fib_rules.c)."""
    extra = dict(rule.extra)
    users = extra.pop("FRA_UID_RANGE", None)
    selected = (
        not extra
        and rule.iif in ("", question.iif or "lo")
        and rule.oif in ("", question.oif)
        and (question.mark ^ rule.fwmark) & rule.fwmask == 0
        and (not rule.source or (question.source != "" and contains(rule.source, question.source)))
        and (not rule.destination or contains(rule.destination, question.destination))
        and (not isinstance(users, bytes) or _is_user(users, question.uid))
    )
    return selected != rule.invert


def _is_user(users: bytes, uid: int) -> bool:
    first, last = (int.from_bytes(part, sys.byteorder) for part in (users[:4], users[4:8]))
    return first <= uid <= last


def without_obstacles(differences: Iterable[Difference], obstacles: Iterable[Rule]) -> Iterator[Difference]:
    """Yield the differences that rules which are known to be before the managed ones do not explain."""
    known = frozenset(obstacles)
    families = {rule.family for rule in known}
    for one in differences:
        refused = one.is_refused_as_forged and one.expectation.question.family in families  # by its way back
        if one.rule not in known and not refused:
            yield one


def findings(differences: Iterable[Difference]) -> tuple[Finding, ...]:
    """Return one finding for all differences of one kind and one reason."""
    grouped: dict[tuple[str, str, str], list[Difference]] = {}
    for one in differences:
        kind, family = SILENT if one.is_silent_gateway else one.expectation.kind, one.expectation.question.family
        grouped.setdefault((IDENTIFIERS[kind], family, one.reason), []).append(one)
    return tuple(_finding(identifier, family, members) for (identifier, family, _reason), members in grouped.items())


def _finding(identifier: str, family: str, members: list[Difference]) -> Finding:
    first = members[0]
    one = first.expectation
    pools = tuple(dict.fromkeys(pool for member in members for pool in member.expectation.pools))
    reason = f", because {first.reason}" if first.reason else ""
    more = f", and {len(members) - 1} more" if len(members) > 1 else ""
    cause = f"{first.described}{reason}"
    evidence = f"ip {'-6' if family == IPV6 else '-4'} route get {one.question}{more}"
    severity = WARNING if one.kind == ANY_ROUTE else FAILURE
    return Finding(identifier, pools, cause, evidence, _remedy(first), severity, first.is_foreign)


def _remedy(one: Difference) -> str:
    family = FAMILY_NAMES[one.expectation.question.family]
    if one.rule is not None:
        return "Give this rule a priority above those of the managed rules, or exempt the pools' packets from it."
    if one.route is not None:
        return f"Remove this route (ip route del {one.route}), or declare another table for the pools."
    if one.expectation.kind == ANY_ROUTE:
        return f"Add an {family} default route to the main table; it only has to exist."
    if one.is_silent_gateway and one.expectation.expected is not None:
        hop = one.expectation.expected
        return f"Check the gateway and the link to it (ip -6 neigh show {hop.gateway} dev {hop.interface})."
    if one.is_refused_as_forged:
        return f"Set net/ipv4/conf/{one.expectation.question.iif}/rp_filter to 0 or 2."
    return ""
