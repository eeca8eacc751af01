# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The case of a pool, the mark and table of its group, and that a group keeps both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compilers import COMPILERS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.case_traits import (
    AUTO_CASES,
    CASES,
    Situation,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import (
    Declaration,
    Pool,
    Settings,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.plan import make_plan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Interface,
    Node,
    NodeState,
    Route,
    Rule,
)
from tests.conftest import ROOT
from tests.unit.nodes import after, cluster_node, declaration, pool

INSIDE = {"networks": ("192.168.1.240/28",), "interface": "eth0", "gateways": ()}
DEFAULT = Route("ipv4", 254, "0.0.0.0/0", gateway="192.168.1.9", interface="eth0")
ATTACHED = Route("ipv4", 254, "1.2.3.0/24", interface="eth0.100")


def with_route(route: Route) -> Node:
    node = cluster_node()
    return replace(node, foreign_routes=node.foreign_routes | {route})


@pytest.mark.parametrize(
    ("changes", "node", "case"),
    [
        (INSIDE, cluster_node(), "same_subnet"),
        ({**INSIDE, "gateways": ("192.168.1.1",)}, cluster_node(), "same_subnet"),
        ({**INSIDE, "gateways": ("192.168.1.2",)}, cluster_node(), "policy_routing"),
        ({"gateways": ()}, cluster_node(), "onlink_route"),
        ({"gateways": ()}, with_route(ATTACHED), "same_subnet"),
        ({"gateways": ()}, with_route(replace(ATTACHED, multipath=True)), "onlink_route"),
        ({"gateways": ()}, with_route(replace(ATTACHED, gateway="1.2.3.9")), "onlink_route"),
        ({}, cluster_node(), "policy_routing"),
        # Another gateway has the better metric.
        ({**INSIDE, "gateways": ("192.168.1.1",)}, with_route(replace(DEFAULT, metric=5)), "same_subnet"),
        ({**INSIDE, "gateways": ("192.168.1.9",)}, with_route(replace(DEFAULT, metric=5)), "policy_routing"),
        ({}, with_route(ATTACHED), "policy_routing"),
        ({"case": "source_routing"}, cluster_node(), "source_routing"),
        ({"networks": ("fd00:1::/64",), "gateways": ("fd00:1::1",)}, cluster_node(), "policy_routing"),
        (
            {"networks": ("fd00:192:168:1::100/120",), "interface": "eth0", "gateways": ()},
            cluster_node(),
            "same_subnet",
        ),
    ],
)
def test_the_case_follows_from_the_node(changes: dict[str, Any], node: Node, case: str) -> None:
    (choice,) = compile_node(declaration(pool(**changes)), node).choices
    assert choice.case == case
    assert choice.reason


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"case": "same_subnet", "gateways": ()}, "pools[0].case", "Use case: onlink_route"),
        ({**INSIDE, "case": "onlink_route"}, "pools[0].case", "Use case: same_subnet"),
        ({**INSIDE, "case": "source_routing", "gateways": ("192.168.1.1",)}, "pools[0].case", "Use case: same_subnet"),
        ({**INSIDE, "case": "policy_routing", "gateways": ("192.168.1.1",)}, "pools[0].case", "Use case: same_subnet"),
        (
            {"networks": ("1.2.3.0/24", "fd00:1::/64")},
            "pools[0].gateways",
            "the pool has IPv6 networks but no IPv6 gateway, so IPv6 replies would have no route",
        ),
        (
            {**INSIDE, "interface": "eth1"},
            "pools[0].interface",
            "the on-link route to 192.168.1.240/28 uses eth0 on this node, not eth1",
        ),
        (
            {**INSIDE, "interface": "eth1", "networks": ("10.9.8.0/24", "192.168.1.240/28")},
            "pools[0].interface",
            ": the on-link route to 192.168.1.240/28 uses eth0 on this node, not eth1",
        ),
    ],
)
def test_a_case_that_does_not_fit_names_the_one_that_does(changes: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(pool(**changes)), cluster_node())
    assert caught.value.errors[0].path == path
    assert words in str(caught.value)


def test_of_two_links_in_one_network_each_may_be_declared() -> None:
    """Where the kernel sends through the other one, this is a warning."""
    node = cluster_node()
    lan = Route("ipv4", 254, "192.168.1.0/24", metric=100, interface="eth1", source="192.168.1.13")
    foreign = {replace(one, metric=200) if one.destination == lan.destination else one for one in node.foreign_routes}
    both = replace(node, foreign_routes=frozenset({*foreign, lan}))
    for interface, warned in (("eth1", False), ("eth0", True)):
        compiled = compile_node(declaration(pool(**{**INSIDE, "interface": interface})), both)
        assert compiled.choices[0].case == "same_subnet"
        found = [
            text
            for text in compiled.warnings
            if "eth1 and eth0 are attached to the network of 192.168.1.240/28" in text
        ]
        assert bool(found) == warned, compiled.warnings
    third = {**INSIDE, "interface": "eth0.100"}
    with pytest.raises(
        InputErrors, match=r"the on-link route to 192\.168\.1\.240/28 uses eth1 on this node, not eth0\.100"
    ):
        compile_node(declaration(pool(**third)), both)


def reason_of(desired: Pool, node: Node) -> str:
    (choice,) = compile_node(declaration(desired), node).choices
    return choice.reason


def test_the_reason_names_where_the_default_routes_lead() -> None:
    """Also where they use the pool's gateway on another link, and where there are several."""
    own = "replies must leave through 192.168.1.1 on eth1, and the node"
    pool_of_router = pool(
        networks=("192.168.1.240/28",), onlink_networks=("192.168.1.0/24",), gateways=("192.168.1.1",), interface="eth1"
    )
    assert reason_of(pool_of_router, cluster_node()) == f"{own}'s default route uses 192.168.1.1 on eth0"
    second = with_route(replace(DEFAULT, gateway="192.168.1.1", interface="eth1", metric=9))
    assert reason_of(pool_of_router, second) == f"{own}'s default routes use 192.168.1.1 on eth0, 192.168.1.1 on eth1"
    none = replace(cluster_node(), foreign_routes=frozenset())
    assert reason_of(pool_of_router, none) == f"{own} has no default route"
    tunnel = replace(none, foreign_routes=frozenset({replace(DEFAULT, gateway="", interface="wg0")}))
    assert reason_of(pool_of_router, tunnel) == f"{own}'s default route uses wg0"


def test_a_route_over_a_tunnel_attaches_no_network() -> None:
    tunnel = Interface("wg0", 9, True, point_to_point=True)
    node = with_route(Route("ipv4", 254, "10.0.0.0/8", interface="wg0"))
    node = replace(node, interfaces={**node.interfaces, "wg0": tunnel})
    one = pool(networks=("10.9.8.0/28",), onlink_networks=("10.9.8.0/24",), gateways=(), interface="eth1")
    compiled = compile_node(declaration(one), node)
    assert compiled.choices[0].case == "onlink_route"
    assert Route("ipv4", 254, "10.9.8.0/24", interface="eth1") in compiled.state.routes
    real = replace(node, interfaces={**node.interfaces, "wg0": replace(tunnel, point_to_point=False)})
    with pytest.raises(InputErrors, match=r"the on-link route to 10\.9\.8\.0/28 uses wg0 on this node, not eth1"):
        compile_node(declaration(one), real)


def test_messages_show_a_range_as_it_was_written() -> None:
    text = "192.168.1.9-192.168.1.12"
    parameters: dict[str, Any] = {"pools": [{"name": "a", "networks": [text, "192.168.1.240/28"], "interface": "eth0"}]}
    with pytest.raises(InputErrors, match=rf"{text} covers 192\.168\.1\.11"):
        compile_node(parse_declaration(parameters), cluster_node())
    parameters["pools"][0]["networks"] = ["192.168.1.20-192.168.1.29", "192.168.1.240/28"]
    assert "eth0 has an on-link route to 192.168.1.20-192.168.1.29, 192.168.1.240/28" in reason_of(
        parse_declaration(parameters).pools[0], cluster_node()
    )


def marks(desired: Declaration, node: Node) -> dict[str, tuple[int, int]]:
    groups = compile_node(desired, node).groups
    return {item.name: (group.mark, group.table) for group in groups for item in group.pools}


def reach(desired: Declaration, node: Node) -> Node:
    return after(make_plan(compile_node(desired, node).state, node).steps, node)


A = pool("a", networks=("10.1.0.0/24",), gateways=("10.1.0.1",))
B = pool("b", networks=("10.2.0.0/24",), gateways=("10.2.0.1",))
C = pool("c", networks=("10.3.0.0/24",), gateways=("10.3.0.1",), interface="eth1")


def test_pools_behind_one_gateway_share_mark_and_table() -> None:
    both = marks(declaration(A, replace(A, name="a2", networks=("10.1.0.0/28",))), cluster_node())
    assert both == {"a": (0x100, 7701), "a2": (0x100, 7701)}


def test_every_gateway_has_its_own_mark_and_table() -> None:
    assert marks(declaration(A, B, C), cluster_node()) == {"a": (0x100, 7701), "b": (0x200, 7702), "c": (0x300, 7703)}


def test_a_gateway_keeps_its_mark_when_others_are_added_and_removed() -> None:
    node = reach(declaration(A, B, C), cluster_node())
    assert marks(declaration(B, C), node) == {"b": (0x200, 7702), "c": (0x300, 7703)}
    node = reach(declaration(B, C), node)
    assert marks(declaration(C, A, B), node) == {"a": (0x100, 7701), "b": (0x200, 7702), "c": (0x300, 7703)}
    assert marks(declaration(C), node) == {"c": (0x300, 7703)}


@pytest.mark.parametrize(
    ("default", "case"),
    [
        (("eth0",), "policy_routing"),
        (("eth1",), "same_subnet"),
        (("eth0", "eth1"), "policy_routing"),
    ],
)
@pytest.mark.parametrize("gateway", ["fe80::1", "2001:db8:b::1"])
def test_a_gateway_is_an_address_on_a_link(gateway: str, default: tuple[str, ...], case: str) -> None:
    """Routers on different links may have the same address."""
    attached = Route("ipv6", 254, "2001:db8:b::/64", metric=256, interface="eth1")
    hops = {Route("ipv6", 254, "::/0", gateway=gateway, interface=link, multipath=len(default) > 1) for link in default}
    own = {route for route in cluster_node().foreign_routes if not (route.family == "ipv6" and route.is_default)}
    node = replace(cluster_node(), foreign_routes=frozenset({*own, attached, *hops}))
    inside = pool(networks=("2001:db8:b::100/120",), interface="eth1", gateways=(gateway,))
    (choice,) = compile_node(declaration(replace(inside, onlink_networks=("2001:db8:b::/64",))), node).choices
    assert choice.case == case
    if case == "policy_routing":
        compile_node(declaration(replace(inside, case=case)), node)


def test_a_group_of_version_0_1_0_keeps_its_marks() -> None:
    """Its rules for requests looked up the main table."""
    mask = {"fwmask": 0x1F00}
    rules = {
        Rule("ipv4", 2500, action="goto", goto=2999, **mask),
        Rule("ipv4", 2700, table=254, iif="eth0", fwmark=0x200, **mask),
        Rule("ipv4", 2700, table=254, iif="eth0", fwmark=0x100, destination="10.112.0.0/12", **mask),
        Rule("ipv4", 2800, table=7701, fwmark=0x100, **mask),
        Rule("ipv4", 2800, table=7701, fwmark=0x200, **mask),
        Rule("ipv4", 2600, action="blackhole", iif="eth1", fwmark=0x300, destination="10.3.0.0/24", **mask),
        Rule("ipv4", 2700, table=254, iif="eth1", fwmark=0x300, **mask),
        Rule("ipv4", 2800, table=7703, fwmark=0x300, **mask),
        Rule("ipv4", 2999, action="nop", fwmark=0x1F00, fwmask=0x1F00),
    }
    routes = {
        Route("ipv4", 7701, "0.0.0.0/0", gateway="10.9.0.1", interface="eth0"),
        Route("ipv4", 7703, "0.0.0.0/0", gateway="10.3.0.1", interface="eth1"),
    }
    node = cluster_node(managed=NodeState(rules=frozenset(rules), routes=frozenset(routes)))
    shared = pool("s", networks=("10.9.0.0/24",), gateways=("10.9.0.1",), interface="eth0")
    groups = compile_node(declaration(A, C, shared), node).groups
    assert {group.interface: (group.mark, group.request_mark) for group in groups} == {
        "eth0": (0x100, 0x200),
        "eth1": (0x300, 0),
        "eth0.100": (0x400, 0),
    }


def test_a_gateway_keeps_its_mark_when_its_routes_are_gone() -> None:
    node = reach(declaration(A, C), cluster_node())
    node = replace(node, managed=replace(node.managed, routes=frozenset()))
    assert marks(declaration(C), node) == {"c": (0x200, 7702)}


def test_rules_that_match_only_some_packets_do_not_show_a_mark() -> None:
    node = reach(declaration(A, C), cluster_node())
    narrow = frozenset(replace(rule, extra=(("FRA_IP_PROTO", 6),)) for rule in node.managed.rules)
    without_routes = replace(node, managed=replace(node.managed, rules=narrow, routes=frozenset()))
    assert marks(declaration(C), without_routes) == {"c": (0x100, 7701)}


def test_a_gateway_keeps_its_table_under_ipvs() -> None:
    ipvs = replace(declaration().cluster, kube_proxy_mode="ipvs")
    first = declaration(replace(A, case="source_routing"), replace(C, case="source_routing"), cluster=ipvs)
    node = reach(first, cluster_node())
    assert not any(rule.fwmask for rule in node.managed.rules)
    assert marks(declaration(replace(C, case="source_routing"), cluster=ipvs), node) == {"c": (0x200, 7702)}


def test_a_group_on_a_shared_link_keeps_both_marks() -> None:
    shared = pool("s", networks=("10.9.0.0/24",), gateways=("10.9.0.1",), interface="eth0")
    node = reach(declaration(A, shared, C), cluster_node())
    (group,) = compile_node(declaration(shared), node).groups
    assert (group.mark, group.request_mark, group.table) == (0x200, 0x400, 7702)


def test_a_mark_declared_for_two_cases_is_refused() -> None:
    desired = declaration(replace(A, mark=0x100), replace(C, mark=0x100, case="source_routing"))
    with pytest.raises(InputErrors, match=r"0x100 is already used by pools\[0\] \(case policy_routing\)"):
        compile_node(desired, cluster_node())


def test_declared_marks_and_tables_are_used_and_not_assigned_again() -> None:
    found = marks(declaration(A, replace(B, mark=0x100, table=100)), cluster_node())
    assert found == {"a": (0x200, 7702), "b": (0x100, 100)}


def test_more_gateways_than_the_mask_has_values_are_refused() -> None:
    narrow = Settings(mark_mask=0x100)
    with pytest.raises(InputError, match="room for 1 marks, but 2 are needed"):
        compile_node(declaration(A, B, settings=narrow), cluster_node())


def test_every_case_has_a_compiler_and_a_role() -> None:
    assert COMPILERS.keys() == CASES.keys()
    assert CASES.keys() <= {role.name for role in (ROOT / "roles").iterdir()}


def test_auto_has_a_case_for_every_situation() -> None:
    assert AUTO_CASES.keys() == set(Situation)


def test_a_table_with_foreign_routes_is_refused() -> None:
    node = with_route(Route("ipv4", 100, "0.0.0.0/0", gateway="192.168.1.9", interface="eth0"))
    with pytest.raises(
        InputErrors, match=r"table 100 holds a route that is managed by someone else: default via 192.168.1.9"
    ):
        compile_node(declaration(replace(A, table=100)), node)


def test_the_same_declaration_compiles_to_the_same_state() -> None:
    desired = declaration(A, B, C)
    assert compile_node(desired, cluster_node()) == compile_node(desired, cluster_node())


def test_rules_stay_in_the_thousand_priorities() -> None:
    rules = compile_node(declaration(A, replace(C, case="source_routing")), cluster_node()).state.rules
    assert rules
    assert all(2000 <= rule.priority <= 2999 for rule in rules)


def test_unmarked_packets_skip_all_rules_of_the_recipe() -> None:
    rules = compile_node(declaration(A, C), cluster_node()).state.rules
    first = min(rule.priority for rule in rules if rule.family == "ipv4")
    assert Rule("ipv4", first, action="goto", goto=2999, fwmark=0, fwmask=0x1F00) in rules
    assert all(rule.fwmask == 0x1F00 for rule in rules if rule.action != "nop")
