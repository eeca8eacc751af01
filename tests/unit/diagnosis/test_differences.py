# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong answers are differences, each with the foreign thing that explains it, and are told as few findings."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.differences import (
    Difference,
    find_differences,
    findings,
    without_obstacles,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.expectations import Expectation
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.finding import FAILURE, WARNING
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Node, Route, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route_lookup import (
    RouteAnswer,
    RouteQuestion,
)
from tests.unit.nodes import KERNEL_RULES

QUESTION = RouteQuestion("ipv4", "192.0.2.1", "10.112.1.2", "cni0", 0x100)
REPLY = Expectation("reply", QUESTION, "a reply", ("external",), 7701, RouteAnswer("unicast", "eth0.100", "1.2.3.1"))
REQUEST = replace(REPLY, kind="request", packet="a request")
ANY = replace(REPLY, kind="any-route", expected=None)
RULE = Rule("ipv4", 100, table=99)
ELSEWHERE = RouteAnswer("unicast", "wg0", table=99)
IN_TABLE = Route("ipv4", 7701, "192.0.2.0/24", interface="eth1")


def refusal(number: int) -> RouteAnswer:
    return RouteAnswer("", refusal=f"{errno.errorcode[number]}: so", errno=number)


def differences(
    expectation: Expectation, answer: RouteAnswer, *rules: Rule, routes: set[Route] | None = None
) -> list[Difference]:
    node = Node(foreign_rules=KERNEL_RULES | set(rules), foreign_routes=frozenset(routes or ()))
    return list(find_differences([expectation], {QUESTION: answer}, node))


@pytest.mark.parametrize(
    ("expectation", "answer"),
    [(REPLY, RouteAnswer("unicast", "eth0.100", "1.2.3.1", 7701)), (ANY, ELSEWHERE)],
)
def test_right_answers_are_no_differences(expectation: Expectation, answer: RouteAnswer) -> None:
    assert differences(expectation, answer, RULE) == []


def test_any_next_hop_of_a_route_with_several_is_right() -> None:
    expected = RouteAnswer("unicast", "eth0", "192.168.1.12")
    one = replace(REQUEST, expected=expected, question=replace(QUESTION, destination="10.113.0.2"))
    hop = Route("ipv4", 254, "10.113.0.0/24", gateway="192.168.1.12", interface="eth0", multipath=True)
    hops = {hop, replace(hop, gateway="172.16.0.1", interface="eth2")}
    other = RouteAnswer("unicast", "eth2", "172.16.0.1")

    def found(answer: RouteAnswer, routes: set[Route]) -> int:
        node = Node(foreign_rules=KERNEL_RULES, foreign_routes=frozenset(routes))
        return len(find_differences([one], {one.question: answer}, node))

    assert found(other, hops) == 0
    assert found(other, {replace(one, multipath=False, metric=number) for number, one in enumerate(hops)}) == 1
    assert found(replace(other, gateway="172.16.0.2"), hops) == 1
    assert found(other, {replace(one, destination="10.114.0.0/24") for one in hops}) == 1


@pytest.mark.parametrize(
    ("answer", "rules", "routes", "reason", "foreign"),
    [
        (ELSEWHERE, [RULE], set(), 'the rule "priority 100 from all lookup 99"', True),
        (ELSEWHERE, [replace(RULE, source="9.0.0.0/8")], set(), "", False),
        (ELSEWHERE, [replace(RULE, source="9.0.0.0/8"), replace(RULE, priority=101)], set(), "priority 101", True),
        (replace(ELSEWHERE, table=254), [], set(), "", False),
        (refusal(errno.EACCES), [Rule("ipv4", 7, "prohibit")], set(), "priority 7 from all prohibit", True),
        (refusal(errno.ENETUNREACH), [Rule("ipv4", 7, "prohibit")], set(), "", False),
        (refusal(errno.EHOSTUNREACH), [RULE], {Route("ipv4", 99, "0.0.0.0/0", type="unreachable")}, "lookup 99", True),
        (RouteAnswer("unicast", "eth1", "", 7701), [RULE], {IN_TABLE}, 'the route "192.0.2.0/24 dev eth1', True),
        (refusal(errno.EXDEV), [], set(), "cni0 validates sources", True),
        (refusal(errno.EHOSTUNREACH), [], set(), "cni0 does not forward packets", True),
        (refusal(errno.ENETUNREACH), [], set(), "", False),
    ],
)
def test_what_is_in_the_way_is_named(
    answer: RouteAnswer, rules: list[Rule], routes: set[Route], reason: str, foreign: bool
) -> None:
    (found,) = differences(REPLY, answer, *rules, routes=routes)
    assert (reason in found.reason, bool(found.reason), found.is_foreign) == (True, bool(reason), foreign)
    (finding,) = findings([found])
    assert (finding.identifier, finding.severity, finding.foreign) == ("reply-diverted", FAILURE, foreign)
    assert reason in str(finding)
    assert str(finding).startswith("pool external: a reply ")
    assert "(ip -4 route get 192.0.2.1 from 10.112.1.2 iif cni0 mark 0x100)" in str(finding)


def test_the_pools_own_link_is_not_foreign() -> None:
    (found,) = differences(REQUEST, refusal(errno.EXDEV))
    assert not found.is_foreign
    assert "validates sources" in found.reason


def test_differences_of_one_kind_and_reason_are_one_finding() -> None:
    (one,) = differences(REPLY, ELSEWHERE, RULE)
    other = replace(one, expectation=replace(REPLY, pools=("lab", "external")))
    first, second = findings([one, other, replace(one, rule=None)])
    assert (first.pools, second.pools) == (("external", "lab"), ("external",))
    assert ", and 1 more)" in str(first)
    assert str(first).startswith("pools external, lab: ")


def test_a_missing_route_of_the_nodes_own_processes_is_a_warning() -> None:
    (finding,) = findings(differences(ANY, refusal(errno.ENETUNREACH)))
    assert (finding.identifier, finding.severity) == ("no-route-for-replies", WARNING)
    assert "Add an IPv4 default route" in finding.remedy


def test_what_a_known_obstacle_explains_is_not_told_again() -> None:
    (by_rule,) = differences(REPLY, ELSEWHERE, RULE)
    (refused,) = differences(REPLY, refusal(errno.EXDEV))
    (unknown,) = differences(REPLY, ELSEWHERE)
    every = [by_rule, refused, unknown]
    assert list(without_obstacles(every, ())) == every
    assert list(without_obstacles(every, {RULE})) == [unknown]
    assert list(without_obstacles(every, {replace(RULE, family="ipv6")})) == every
