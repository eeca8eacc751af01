# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning: the desired state needs no steps, inverse steps revert a plan, and foreign objects are never in one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Declaration, Pool
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.plan import make_plan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Chain,
    ChainSet,
    Link,
    Node,
    NodeState,
    Route,
    Rule,
    Sysctl,
    Unit,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.unit.nodes import after, cluster_node, declaration, pool, vlan

CASES = ("auto", "source_routing", "policy_routing")


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """Up to six pools over up to four VLANs and one shared interface, with and without IPv6, gateways and options."""
    pools: list[Pool] = []
    for number in range(draw(st.integers(1, 6))):
        interface = draw(st.sampled_from(("eth0.100", "eth0.101", "eth0.102", "eth1", "eth0")))
        has_ipv6, has_gateway = draw(st.booleans()), draw(st.booleans())
        identifier = interface.partition(".")[2]
        pools.append(
            pool(
                f"pool{number}",
                interface=interface,
                networks=(f"10.{number}.0.0/24", *((f"fd00:{number}::/64",) if has_ipv6 else ())),
                gateways=(f"10.{number}.0.1", *((f"fd00:{number}::1",) if has_ipv6 else ())) if has_gateway else (),
                case=draw(st.sampled_from(CASES)) if has_gateway else "auto",
                vlan=vlan("eth0", int(identifier)) if identifier and identifier != "100" else None,
                deny=(("192.168.1.0/24",) if draw(st.booleans()) and has_gateway else ()),
                addresses=((f"10.{number}.0.200",) if draw(st.booleans()) else ()),
                rp_filter="auto",
            )
        )
    result = declaration(*pools)
    mode = draw(st.sampled_from(("auto", "ipvs", "nftables")))
    return replace(result, cluster=replace(result.cluster, kube_proxy_mode=mode))


def plan_of(declared: Declaration, node: Node) -> tuple[Step, ...]:
    return make_plan(compile_node(declared, node).state, node).steps


@settings(max_examples=150, deadline=None)
@given(declarations())
def test_a_node_with_the_desired_state_needs_no_steps(declared: Declaration) -> None:
    node = cluster_node()
    steps = plan_of(declared, node)
    assert steps
    assert plan_of(declared, after(steps, node)) == ()


@settings(max_examples=100, deadline=None)
@given(declarations(), declarations())
def test_any_declaration_is_reached_from_any_other(first: Declaration, second: Declaration) -> None:
    node = after(plan_of(first, cluster_node()), cluster_node())
    moved = after(plan_of(second, node), node)
    assert plan_of(second, moved) == ()


@settings(max_examples=100, deadline=None)
@given(declarations())
def test_the_inverse_steps_revert_a_plan(declared: Declaration) -> None:
    node = cluster_node(sysctls={**cluster_node().sysctls, "net/ipv4/conf/eth0.100/rp_filter": "2"})
    steps = plan_of(declared, node)
    back = after((step.inverse() for step in reversed(steps)), after(steps, node))
    assert without_empty_chains(back.managed) == node.managed
    changed = {name for name, value in back.sysctls.items() if node.sysctls.get(name, "0") != value}
    assert not changed


@settings(max_examples=100, deadline=None)
@given(declarations())
def test_removal_leaves_no_managed_object(declared: Declaration) -> None:
    node = after(plan_of(declared, cluster_node()), cluster_node())
    empty = after(make_plan(NodeState(), node).steps, node)
    assert without_empty_chains(empty.managed) == NodeState()


def without_empty_chains(state: NodeState) -> NodeState:
    return replace(state, chains=frozenset(item for item in state.chains if item.chains))


@settings(max_examples=100, deadline=None)
@given(declarations())
def test_foreign_objects_are_never_in_a_plan(declared: Declaration) -> None:
    node = cluster_node()
    foreign = {*node.foreign_routes, *node.foreign_rules, *node.foreign_addresses}
    mentioned = {item for step in plan_of(declared, node) for item in (step.before, step.after)}
    assert not foreign & mentioned


def test_networks_come_before_gateways_and_requests_before_replies() -> None:
    steps = plan_of(declaration(pool()), cluster_node())
    routes = [step.after for step in steps if step.kind == "route"]
    assert routes.index(
        next(r for r in routes if isinstance(r, Route) and r.destination == "1.2.3.0/24")
    ) < routes.index(next(r for r in routes if isinstance(r, Route) and r.gateway))
    target, *others = [step.after for step in steps if isinstance(step.after, Rule)]
    assert (target.action, target.priority) == ("nop", 2999)
    assert [rule.priority for rule in others] == sorted(rule.priority for rule in others)
    kinds = [step.kind for step in steps]
    assert kinds == sorted(kinds, key=["file", "link", "sysctl", "address", "route", "chains", "rule"].index)


def test_removal_goes_from_the_highest_layer_down() -> None:
    declared = declaration(pool(interface="eth0.200", vlan=vlan("eth0", 200), addresses=("1.2.3.201",)))
    node = after(plan_of(declared, cluster_node()), cluster_node())
    kinds = [step.kind for step in make_plan(NodeState(), node).steps]
    order = ["rule", "chains", "route", "address", "sysctl", "link", "file"]
    assert kinds == sorted(kinds, key=order.index)
    assert set(kinds) == set(order)


def test_the_agent_is_stopped_before_anything_is_removed() -> None:
    """Stopping it takes a second. With chains and no rules, or rules and no chains, connections would stall that long."""
    made = after(plan_of(declaration(pool()), cluster_node()), cluster_node())
    unit = Unit("homeward-metallb-routing.service", "1")
    node = replace(made, managed=replace(made.managed, units=frozenset({unit})))
    kinds = [step.kind for step in make_plan(NodeState(), node).steps]
    assert kinds[0] == "unit"
    assert kinds.index("chains") == kinds.count("rule") + 1, "chains follow the rules at once"


def test_within_a_kind_removal_reverses_the_order_of_addition() -> None:
    network = Route("ipv4", 7701, "1.2.3.0/24", interface="upper")
    gateway = Route("ipv4", 7701, "0.0.0.0/0", gateway="1.2.3.1", interface="upper")
    requests, replies = Rule("ipv4", 2500, "goto", goto=2999), Rule("ipv4", 2800, table=7701)
    lower, upper = Link("z-lower", "vlan", "eth0", 9), Link("upper", "vlan", "z-lower", 10)
    desired = NodeState(
        links=frozenset({upper, lower}), routes=frozenset({network, gateway}), rules=frozenset({requests, replies})
    )
    added = make_plan(desired, cluster_node()).steps
    assert [step.after for step in added if step.before is None] == [
        *(replace(lower, up=False), replace(upper, up=False)),
        *(network, gateway, requests, replies),
    ]
    removed = make_plan(NodeState(), after(added, cluster_node())).steps
    assert [step.before for step in removed] == [replies, requests, gateway, network, upper, lower]


def test_an_identical_foreign_route_remains_unchanged() -> None:
    node = cluster_node()
    mine = Route("ipv4", 254, "10.9.8.0/24", interface="eth1")
    node = replace(node, foreign_routes=node.foreign_routes | {mine})
    plan = make_plan(NodeState(routes=frozenset({mine})), node)
    assert plan.steps == ()
    assert plan.satisfied == ("10.9.8.0/24 dev eth1 table main",)


def test_a_different_foreign_route_with_the_same_key_is_refused() -> None:
    node = cluster_node()
    other = Route("ipv4", 254, "10.9.8.0/24", interface="eth0")
    node = replace(node, foreign_routes=node.foreign_routes | {other})
    with pytest.raises(NodeError, match="already exists and is managed by someone else"):
        make_plan(NodeState(routes=frozenset({replace(other, interface="eth1")})), node)


def test_an_address_on_another_link_is_refused() -> None:
    with pytest.raises(NodeError, match=r"already has 192.168.1.11/24 on eth0"):
        make_plan(NodeState(addresses=frozenset({Address("eth1", "192.168.1.11/32")})), cluster_node())


def test_a_vlan_with_another_id_is_replaced_with_everything_on_it() -> None:
    old = Link("eth0.9", "vlan", "eth0", 9)
    route = Route("ipv4", 7701, "1.2.3.0/24", interface="eth0.9")
    sysctl = Sysctl("net/ipv4/conf/eth0.9/rp_filter", "1")
    managed = NodeState(links=frozenset({old}), routes=frozenset({route}), sysctls=frozenset({sysctl}))
    node = cluster_node(managed=managed, sysctls={sysctl.name: "1"}, originals={sysctl.name: "0"})
    new = replace(old, vlan_id=10)
    steps = make_plan(replace(managed, links=frozenset({new})), node).steps
    assert [str(step) for step in steps] == [
        "delete route 1.2.3.0/24 dev eth0.9 table 7701",
        "delete sysctl net/ipv4/conf/eth0.9/rp_filter=1",
        "delete link eth0.9: vlan on eth0 id 9",
        "add link eth0.9: vlan on eth0 id 10 down",
        "add sysctl net/ipv4/conf/eth0.9/rp_filter=1",
        "change link eth0.9: vlan on eth0 id 10",
        "add route 1.2.3.0/24 dev eth0.9 table 7701",
    ]


def test_a_renamed_vlan_is_deleted_before_it_is_added() -> None:
    old = Link("old", "vlan", "eth0", 9)
    node = cluster_node(managed=NodeState(links=frozenset({old})))
    steps = make_plan(NodeState(links=frozenset({replace(old, name="new")})), node).steps
    assert [step.verb for step in steps] == ["delete", "add", "change"]


def test_another_gateway_changes_the_route() -> None:
    first = declaration(pool())
    node = after(plan_of(first, cluster_node()), cluster_node())
    steps = plan_of(declaration(pool(gateways=("1.2.3.2",))), node)
    assert [str(step) for step in steps] == ["change route default via 1.2.3.2 dev eth0.100 table 7701"]


def test_chains_in_the_other_variant_are_removed() -> None:
    stale = ChainSet("legacy", "ipv4", frozenset({Chain("ipv4", "raw", "HOMEWARD-PREROUTING", hook="PREROUTING")}))
    node = cluster_node(managed=NodeState(chains=frozenset({stale})))
    steps = [step for step in plan_of(declaration(pool()), node) if step.kind == "chains"]
    assert Step("chains", stale, ChainSet("legacy", "ipv4")) in steps


def test_no_plan_while_managed_chains_cannot_be_read() -> None:
    for desired in (NodeState(), NodeState(rules=frozenset({Rule("ipv4", 2800, "lookup", 7701)}))):
        with pytest.raises(NodeError, match='"nft -a list table ip6 raw" shows them'):
            make_plan(desired, Node(iptables_hidden=frozenset({("ipv6", "raw")})))


def test_chains_are_not_written_to_an_unreadable_table() -> None:
    native = frozenset({("ipv4", "raw")})
    chain = ChainSet("nft", "ipv4", frozenset({Chain("ipv4", "raw", "HOMEWARD-X", ("-j DROP",))}))
    with pytest.raises(NodeError, match=r"The chain ipv4 raw HOMEWARD-X .* cannot be changed: .* ip raw\" shows them"):
        make_plan(NodeState(chains=frozenset({chain})), Node(iptables_incompatible=native))
    elsewhere = {
        ChainSet("nft", "ipv6", frozenset({Chain("ipv6", "raw", "HOMEWARD-X")})),
        ChainSet("legacy", "ipv4", chain.chains),
        ChainSet("nft", "ipv4", frozenset({Chain("ipv4", "mangle", "HOMEWARD-X")})),
    }
    for one in elsewhere:
        plan = make_plan(NodeState(chains=frozenset({one})), Node(iptables_incompatible=native))
        assert [step.after for step in plan.steps] == [one]


def test_a_jump_that_is_not_first_is_reconciled() -> None:
    chains = frozenset({Chain("ipv4", "raw", "HOMEWARD-PREROUTING", hook="PREROUTING")})
    stray = ChainSet("nft", "ipv4", chains, (("raw", "PREROUTING", "-j HOMEWARD-PREROUTING"),))
    node = cluster_node(managed=NodeState(chains=frozenset({stray})))
    desired = ChainSet("nft", "ipv4", chains)
    assert make_plan(NodeState(chains=frozenset({desired})), node).steps == (Step("chains", stray, desired),)
