# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed rules are placed before foreign ones that would match replies, and stay where they are otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.placement import Placement, place_rules
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.plan import make_plan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Node, NodeState, Rule
from tests.unit.nodes import KERNEL_RULES, after, cluster_node, declaration, pool

BOTH = pool(networks=("1.2.3.0/24", "fd00:1:2:3::/64"), gateways=("1.2.3.1", "fd00:1:2:3::1"))
WHOLE_MARK = 0xFFFFFFFF


def node_with(*rules: Rule, without: Rule | None = None) -> Node:
    return cluster_node(foreign_rules=(KERNEL_RULES | set(rules)) - {without})


def placed(node: Node, **changes: Any) -> Placement:
    return place_rules(compile_node(declaration(replace(BOTH, **changes)), cluster_node()).state, node)


def priorities(state: NodeState, family: str = "ipv4") -> list[int]:
    return sorted({rule.priority for rule in state.rules if rule.family == family})


def rule(priority: int, **changes: Any) -> Rule:
    return Rule("ipv4", priority, **{"table": 0 if "action" in changes else 99, **changes})


DECLARED = [2500, 2700, 2800, 2999]


@pytest.mark.parametrize(
    "foreign",
    [
        rule(100),
        rule(100, table=254, suppress_prefixlength=0),
        rule(100, invert=True, fwmark=51820, fwmask=WHOLE_MARK),
        rule(100, source="192.168.1.11/32"),
        rule(100, source="10.112.0.0/16"),
        rule(100, source="0.0.0.0/1"),
        rule(100, source="1.2.3.7/32"),
        rule(100, destination="203.0.113.0/24"),
        rule(100, iif="lo"),
        rule(100, iif="cni0"),
        rule(100, fwmark=0, fwmask=0xFF),
        rule(100, action="unreachable"),
        rule(100, action="goto", goto=32000),
        rule(100, extra=(("FRA_UID_RANGE", b"\0\0\0\0\xff\0\0\0"),)),
    ],
    ids=str,
)
def test_a_foreign_rule_that_may_match_replies_comes_after_the_managed_ones(foreign: Rule) -> None:
    result = placed(node_with(foreign))
    assert priorities(result.state) == [96, 97, 98, 99]
    assert priorities(result.state, "ipv6") == [2400, 2500, 2700, 2800, 2999], "the other family is unaffected"
    (note,) = result.notes
    assert f'priority_base: the IPv4 rules have the priorities 96-99 instead of 2500-2999, because "{foreign}"' in note
    assert not result.problems


@pytest.mark.parametrize(
    "foreign",
    [
        rule(100, fwmark=0x80000, fwmask=0xFF0000),
        rule(100, fwmark=51820, fwmask=WHOLE_MARK),
        rule(100, fwmark=0, fwmask=WHOLE_MARK),
        rule(100, source="172.31.0.0/16"),
        rule(100, destination="10.112.2.0/24"),
        rule(100, destination="192.168.1.12/32"),
        rule(100, iif="eth0.100"),
        rule(100, oif="vrf-blue"),
        rule(100, action="nop"),
        rule(100, action="goto", goto=1000),
        rule(1000, table=0, extra=(("FRA_L3MDEV", 1),)),
        rule(3000),
        rule(5270, table=52),
        rule(100, table=255),
        Rule("ipv6", 32000, table=99),
    ],
    ids=str,
)
def test_any_other_foreign_rule_stays_before_the_managed_ones(foreign: Rule) -> None:
    assert placed(node_with(foreign)) == placed(cluster_node())
    assert priorities(placed(cluster_node()).state) == DECLARED


def test_moved_rules_are_the_same_rules_in_the_same_order() -> None:
    before, result = placed(cluster_node()).state, placed(node_with(rule(100))).state
    target = dict(zip(DECLARED, priorities(result), strict=True))
    expected = {
        replace(one, priority=target[one.priority], goto=target.get(one.goto, 0))
        for one in before.rules
        if one.family == "ipv4"
    }
    assert {one for one in result.rules if one.family == "ipv4"} == expected


def test_the_rules_of_wg_quick_have_priorities_directly_before_the_managed_ones() -> None:
    """Then moving changes nothing any more: the result does not depend on where the managed rules are."""
    quick = (rule(2498, table=254, suppress_prefixlength=0), rule(2499, invert=True, fwmark=51820, fwmask=WHOLE_MARK))
    node = node_with(*quick)
    first = placed(node)
    assert priorities(first.state) == [2494, 2495, 2496, 2497]
    node = after(make_plan(first.state, node).steps, node)
    assert not make_plan(placed(node).state, node).steps
    node = replace(node, foreign_rules=KERNEL_RULES)
    steps = make_plan(placed(node).state, node).steps
    assert priorities(after(steps, node).managed) == DECLARED, "and back when they are gone"


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        ((rule(100), rule(97, fwmark=0x80000, fwmask=0xFF0000)), [93, 94, 95, 96]),
        ((rule(100), rule(97, fwmark=0x80000, fwmask=0xFF0000), rule(95, iif="eth0.100")), [91, 92, 93, 94]),
        ((rule(5),), [1, 2, 3, 4]),
        ((rule(2600, fwmark=0x80000, fwmask=0xFF0000),), [2596, 2597, 2598, 2599]),
    ],
)
def test_a_place_is_free_and_after_the_local_table(foreign: tuple[Rule, ...], expected: list[int]) -> None:
    """Unmarked packets skip everything between the first and the last managed rule."""
    assert priorities(placed(node_with(*foreign)).state) == expected


LOCAL = Rule("ipv4", 0, table=255)


@pytest.mark.parametrize(
    "node",
    [
        node_with(rule(4)),
        node_with(rule(104), replace(LOCAL, priority=100), without=LOCAL),
        node_with(rule(9), replace(LOCAL, priority=100), without=LOCAL),
        node_with(rule(7), rule(3, oif="eth9")),
    ],
)
def test_without_a_place_the_rules_stay_and_the_foreign_one_is_named(node: Node) -> None:
    result = placed(node)
    assert priorities(result.state) == DECLARED
    (problem,) = result.problems
    assert "4 free priorities in a row are needed" in problem
    assert "Give it a priority above 2999." in problem
    assert not result.notes


def test_rules_on_addresses_are_moved_too() -> None:
    """Under IPVS replies have the source of the pool, and no mark."""
    declared = declaration(replace(BOTH, case="source_routing"), cluster=Cluster(kube_proxy_mode="ipvs"))
    state = compile_node(declared, cluster_node()).state
    assert priorities(place_rules(state, node_with(rule(100))).state) == [99]
    assert priorities(place_rules(state, node_with(rule(100, fwmark=0x100, fwmask=0x1F00))).state) == [2200]


def test_without_managed_rules_nothing_is_placed() -> None:
    assert place_rules(NodeState(), node_with(rule(100))) == Placement(NodeState())
