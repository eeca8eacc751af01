# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a state a node can have now, and what stands in the way of the rest and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.drift import plan_repair
from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.reach import within_reach
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Chain,
    ChainSet,
    Interface,
    Link,
    Node,
    NodeState,
    Route,
    Rule,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step

VLAN = Link("eth0.100", "vlan", "eth0", 100)
RULE = Rule("ipv4", 2800, "lookup", 7701, fwmark=0x100, fwmask=0x1F00)
OWN = Address("eth0.100", "1.2.3.251/32")
SETTING = Sysctl("net/ipv4/conf/eth0.100/rp_filter", "1")
EVERYWHERE = Sysctl("net/ipv4/conf/all/arp_ignore", "1")
NETWORK = Route("ipv4", 7701, "1.2.3.0/24", interface="eth0.100")
DEFAULT = Route("ipv4", 7701, "0.0.0.0/0", gateway="1.2.3.1", interface="eth0.100")
LAST = Route("ipv4", 7701, "0.0.0.0/0", 4294967294, "unreachable")
ON_LINK = Route("ipv4", 254, "10.9.8.0/24", interface="eth1")
CHAINS = ChainSet("nft", "ipv4", frozenset({Chain("ipv4", "raw", "HOMEWARD-X", ("-j DROP",))}))
STATE = NodeState(
    links=frozenset({VLAN}),
    addresses=frozenset({OWN}),
    sysctls=frozenset({SETTING, EVERYWHERE}),
    routes=frozenset({NETWORK, DEFAULT, LAST}),
    chains=frozenset({CHAINS}),
    rules=frozenset({RULE}),
)
WITHOUT_LINK = replace(STATE, links=frozenset())


def eth0(**changes: object) -> dict[str, Interface]:
    return {"eth0": replace(Interface("eth0", 2, up=True), **changes)}  # type: ignore[arg-type]


def pool_link(**changes: object) -> dict[str, Interface]:
    link = Interface("eth0.100", 3, up=True, kind="vlan", parent="eth0", vlan_id=100)
    return {**eth0(), "eth0.100": replace(link, **changes)}  # type: ignore[arg-type]


def as_declared(**changes: object) -> Node:
    """Return a node that has all of STATE, changed as given."""
    managed = replace(STATE, links=frozenset({replace(VLAN, mtu=1500)}))
    values = {SETTING.name: "1", EVERYWHERE.name: "1"}
    node = Node(managed=managed, interfaces=pool_link(managed=True), sysctls=values)
    return replace(node, **changes)  # type: ignore[arg-type]


def test_a_node_as_declared_needs_nothing() -> None:
    repair = plan_repair(STATE, as_declared())
    assert (repair.steps, repair.waiting) == ((), ())


def test_everything_is_within_reach_where_the_parent_is_up() -> None:
    reach = within_reach(STATE, Node(interfaces=eth0()))
    assert (reach.state, reach.waiting) == (STATE, ())


@pytest.mark.parametrize(
    ("interfaces", "why"), [({}, "its parent eth0 is not there"), (eth0(up=False), "its parent eth0 is down")]
)
def test_rules_and_chains_need_no_link(interfaces: dict[str, Interface], why: str) -> None:
    reach = within_reach(STATE, Node(interfaces=interfaces))
    assert reach.waiting == (f"link eth0.100 waits: {why}",)
    expected = replace(STATE, links=frozenset(), addresses=frozenset(), sysctls=frozenset({EVERYWHERE}))
    assert reach.state == replace(expected, routes=frozenset({LAST}))


def test_a_foreign_link_is_waited_for() -> None:
    for interfaces, why in ((eth0(), "it is not there"), (pool_link(up=False), "it is down")):
        reach = within_reach(WITHOUT_LINK, Node(interfaces=interfaces))
        assert reach.waiting == (f"routes over eth0.100 wait: {why}",)
        assert reach.state.routes == {LAST}
        there = "eth0.100" in interfaces
        assert (SETTING in reach.state.sysctls, OWN in reach.state.addresses) == (there, there)
    assert within_reach(WITHOUT_LINK, Node(interfaces=pool_link())).state == WITHOUT_LINK


def test_a_link_of_ours_stays_while_its_parent_is_down() -> None:
    down = Interface("eth0.100", 3, up=False, kind="vlan", parent="eth0", vlan_id=100, managed=True)
    managed = replace(STATE, links=frozenset({replace(VLAN, mtu=1500, up=False)}), routes=frozenset({LAST}))
    node = as_declared(managed=managed, interfaces={**eth0(up=False), "eth0.100": down})
    repair = plan_repair(STATE, node)
    assert repair.steps == (), "above all, it is not deleted"
    assert repair.waiting == ("link eth0.100 waits: its parent eth0 is down",)


def test_a_link_of_ours_that_is_down_comes_up_with_all_that_is_on_it() -> None:
    down = pool_link(managed=True, up=False)
    managed = replace(STATE, links=frozenset({replace(VLAN, mtu=1500, up=False)}), routes=frozenset({LAST}))
    repair = plan_repair(STATE, as_declared(managed=managed, interfaces=down))
    assert [step.kind for step in repair.steps] == ["link", "route", "route"]
    assert repair.waiting == ()


def test_the_same_link_of_somebody_else_carries_our_routes_and_stays_theirs() -> None:
    managed = replace(STATE, links=frozenset(), routes=frozenset({LAST}))
    repair = plan_repair(STATE, as_declared(managed=managed, interfaces=pool_link()))
    assert {step.subject for step in repair.steps} == {NETWORK, DEFAULT}
    assert repair.waiting == ("link eth0.100 waits: eth0.100 exists already and is not ours",)


def test_another_link_under_the_name_of_ours_carries_nothing() -> None:
    managed = replace(STATE, links=frozenset(), routes=frozenset({LAST}))
    repair = plan_repair(STATE, as_declared(managed=managed, interfaces=pool_link(kind="bridge", vlan_id=0, parent="")))
    assert repair.steps == ()


def test_a_route_that_replaced_ours_in_our_table_is_replaced() -> None:
    taken = replace(DEFAULT, gateway="1.2.3.50")
    node = as_declared(
        managed=replace(STATE, routes=STATE.routes - {DEFAULT}, rules=frozenset()), foreign_routes=frozenset({taken})
    )
    repair = plan_repair(STATE, node)
    assert Step("route", taken, DEFAULT) in repair.steps
    assert Step("rule", None, RULE) in repair.steps
    assert not repair.waiting


def test_a_foreign_route_beside_ours_stays() -> None:
    other = replace(DEFAULT, gateway="1.2.3.50")
    assert plan_repair(STATE, as_declared(foreign_routes=frozenset({other}))).steps == ()


def test_other_routes_of_our_table_stay() -> None:
    other = Route("ipv4", 7701, "198.51.100.0/24", gateway="1.2.3.50", interface="eth0.100")
    assert plan_repair(STATE, as_declared(foreign_routes=frozenset({other}))).steps == ()


@pytest.mark.parametrize("table", [253, 254])
def test_a_route_that_took_our_place_in_a_shared_table_stays_and_keeps_nothing_else_back(table: int) -> None:
    ours = replace(ON_LINK, table=table)
    other = replace(ours, interface="eth0")
    interfaces = {**pool_link(managed=True), "eth1": Interface("eth1", 4, up=True)}
    node = as_declared(
        managed=replace(STATE, links=frozenset({replace(VLAN, mtu=1500)}), rules=frozenset()),
        interfaces=interfaces,
        foreign_routes=frozenset({other}),
    )
    repair = plan_repair(replace(STATE, routes=STATE.routes | {ours}), node)
    assert repair.steps == (Step("rule", None, RULE),)
    assert repair.waiting == (f'route {ours} waits: "{other}" is there already and is not ours',)


def test_our_address_with_another_length_or_elsewhere_keeps_nothing_else_back() -> None:
    for other in (Address("eth0", "1.2.3.251/32"), Address("eth0.100", "1.2.3.251/24")):
        node = as_declared(
            managed=replace(
                STATE, links=frozenset({replace(VLAN, mtu=1500)}), addresses=frozenset(), rules=frozenset()
            ),
            foreign_addresses=frozenset({other}),
        )
        repair = plan_repair(STATE, node)
        assert repair.steps == (Step("rule", None, RULE),)
        assert repair.waiting == (
            f"address {OWN} waits: {other.address} on {other.interface} is there already and is not ours",
        )


def test_the_same_of_somebody_else_is_enough() -> None:
    managed = replace(STATE, rules=frozenset(), addresses=frozenset(), routes=frozenset({NETWORK, LAST}))
    node = as_declared(
        managed=replace(managed, links=frozenset({replace(VLAN, mtu=1500)})),
        foreign_rules=frozenset({RULE}),
        foreign_addresses=frozenset({OWN}),
        foreign_routes=frozenset({DEFAULT}),
    )
    repair = plan_repair(STATE, node)
    assert (repair.steps, repair.waiting) == ((), ())


def chains(variant: str, family: str, table: str = "raw") -> ChainSet:
    return ChainSet(variant, family, frozenset({Chain(family, table, "HOMEWARD-X", ("-j DROP",))}))


@pytest.mark.parametrize(
    "native",
    [
        {"iptables_incompatible": frozenset({("ipv4", "raw")})},
        {"iptables_hidden": frozenset({("ipv4", "mangle")}), "iptables_incompatible": frozenset({("ipv4", "mangle")})},
    ],
)
def test_chains_that_could_not_be_seen_again_wait_and_nothing_else_does(native: dict[str, object]) -> None:
    other = chains("nft", "ipv6")
    wanted = replace(STATE, chains=frozenset({CHAINS, other}))
    node = as_declared(managed=replace(STATE, rules=frozenset(), chains=frozenset()), **native)
    repair = plan_repair(wanted, node)
    assert [(step.kind, step.after) for step in repair.steps if step.kind == "chains"] == [("chains", other)]
    assert [step.after for step in repair.steps if step.kind == "rule"] == [RULE]
    (sentence,) = repair.hidden
    (((_family, table),),) = [native[name] for name in sorted(native)][:1]
    assert sentence.startswith(f"ipv4 chains wait: the ipv4 table {table} of iptables-nft holds rules that")
    assert f'"nft -a list table ip {table}" shows them' in sentence


def test_native_rules_in_a_table_that_we_do_not_need_keep_nothing_back() -> None:
    node = as_declared(
        managed=replace(STATE, chains=frozenset()),
        iptables_incompatible=frozenset({("ipv4", "filter"), ("ipv6", "raw")}),
    )
    repair = plan_repair(STATE, node)
    assert ([step.after for step in repair.steps if step.kind == "chains"], repair.hidden) == ([CHAINS], ())
