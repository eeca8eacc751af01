# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of a state a node can have now, and what blocks the rest and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.drift import find_drift
from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.feasible import feasible_part
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


def in_desired_state(**changes: object) -> Node:
    """Return a node in STATE, with changes."""
    managed = replace(STATE, links=frozenset({replace(VLAN, mtu=1500)}))
    values = {SETTING.name: "1", EVERYWHERE.name: "1"}
    node = Node(managed=managed, interfaces=pool_link(managed=True), sysctls=values)
    return replace(node, **changes)  # type: ignore[arg-type]


def test_the_desired_state_is_no_drift() -> None:
    drift = find_drift(STATE, in_desired_state())
    assert (drift.steps, drift.waiting) == ((), ())


def test_everything_is_feasible_if_the_parent_is_up() -> None:
    feasible = feasible_part(STATE, Node(interfaces=eth0()))
    assert (feasible.state, feasible.waiting) == (STATE, ())


@pytest.mark.parametrize(
    ("interfaces", "why"), [({}, "its parent eth0 does not exist"), (eth0(up=False), "its parent eth0 is down")]
)
def test_rules_and_chains_need_no_link(interfaces: dict[str, Interface], why: str) -> None:
    feasible = feasible_part(STATE, Node(interfaces=interfaces))
    assert feasible.waiting == (f"link eth0.100 waits: {why}",)
    expected = replace(STATE, links=frozenset(), addresses=frozenset(), sysctls=frozenset({EVERYWHERE}))
    assert feasible.state == replace(expected, routes=frozenset({LAST}))


def test_a_foreign_link_is_waited_for() -> None:
    for interfaces, why in ((eth0(), "the link does not exist"), (pool_link(up=False), "the link is down")):
        feasible = feasible_part(WITHOUT_LINK, Node(interfaces=interfaces))
        assert feasible.waiting == (f"routes over eth0.100 wait: {why}",)
        assert feasible.state.routes == {LAST}
        there = "eth0.100" in interfaces
        assert (SETTING in feasible.state.sysctls, OWN in feasible.state.addresses) == (there, there)
    assert feasible_part(WITHOUT_LINK, Node(interfaces=pool_link())).state == WITHOUT_LINK


def test_a_managed_link_stays_while_its_parent_is_down() -> None:
    down = Interface("eth0.100", 3, up=False, kind="vlan", parent="eth0", vlan_id=100, managed=True)
    managed = replace(STATE, links=frozenset({replace(VLAN, mtu=1500, up=False)}), routes=frozenset({LAST}))
    node = in_desired_state(managed=managed, interfaces={**eth0(up=False), "eth0.100": down})
    drift = find_drift(STATE, node)
    assert drift.steps == (), "above all, it is not deleted"
    assert drift.waiting == ("link eth0.100 waits: its parent eth0 is down",)


def test_a_managed_link_that_is_down_comes_up_with_its_routes() -> None:
    down = pool_link(managed=True, up=False)
    managed = replace(STATE, links=frozenset({replace(VLAN, mtu=1500, up=False)}), routes=frozenset({LAST}))
    drift = find_drift(STATE, in_desired_state(managed=managed, interfaces=down))
    assert [step.kind for step in drift.steps] == ["link", "route", "route"]
    assert drift.waiting == ()


def test_the_same_foreign_link_carries_managed_routes_and_stays_foreign() -> None:
    managed = replace(STATE, links=frozenset(), routes=frozenset({LAST}))
    drift = find_drift(STATE, in_desired_state(managed=managed, interfaces=pool_link()))
    assert {step.subject for step in drift.steps} == {NETWORK, DEFAULT}
    assert drift.waiting == ("link eth0.100 waits: eth0.100 already exists and is managed by someone else",)


def test_another_device_with_the_name_carries_nothing() -> None:
    managed = replace(STATE, links=frozenset(), routes=frozenset({LAST}))
    drift = find_drift(
        STATE, in_desired_state(managed=managed, interfaces=pool_link(kind="bridge", vlan_id=0, parent=""))
    )
    assert drift.steps == ()


def test_a_route_that_replaced_a_managed_one_in_its_table_is_replaced() -> None:
    taken = replace(DEFAULT, gateway="1.2.3.50")
    node = in_desired_state(
        managed=replace(STATE, routes=STATE.routes - {DEFAULT}, rules=frozenset()), foreign_routes=frozenset({taken})
    )
    drift = find_drift(STATE, node)
    assert Step("route", taken, DEFAULT) in drift.steps
    assert Step("rule", None, RULE) in drift.steps
    assert not drift.waiting


def test_a_foreign_route_with_the_key_of_a_managed_one_stays() -> None:
    other = replace(DEFAULT, gateway="1.2.3.50")
    assert find_drift(STATE, in_desired_state(foreign_routes=frozenset({other}))).steps == ()


def test_other_foreign_routes_of_the_table_stay() -> None:
    other = Route("ipv4", 7701, "198.51.100.0/24", gateway="1.2.3.50", interface="eth0.100")
    assert find_drift(STATE, in_desired_state(foreign_routes=frozenset({other}))).steps == ()


@pytest.mark.parametrize("table", [253, 254])
def test_a_foreign_route_in_a_shared_table_stays_and_blocks_nothing_else(table: int) -> None:
    desired = replace(ON_LINK, table=table)
    other = replace(desired, interface="eth0")
    interfaces = {**pool_link(managed=True), "eth1": Interface("eth1", 4, up=True)}
    node = in_desired_state(
        managed=replace(STATE, links=frozenset({replace(VLAN, mtu=1500)}), rules=frozenset()),
        interfaces=interfaces,
        foreign_routes=frozenset({other}),
    )
    drift = find_drift(replace(STATE, routes=STATE.routes | {desired}), node)
    assert drift.steps == (Step("rule", None, RULE),)
    assert drift.waiting == (f'route {desired} waits: "{other}" already exists and is managed by someone else',)


def test_an_address_with_another_length_or_elsewhere_blocks_nothing_else() -> None:
    for other in (Address("eth0", "1.2.3.251/32"), Address("eth0.100", "1.2.3.251/24")):
        node = in_desired_state(
            managed=replace(
                STATE, links=frozenset({replace(VLAN, mtu=1500)}), addresses=frozenset(), rules=frozenset()
            ),
            foreign_addresses=frozenset({other}),
        )
        drift = find_drift(STATE, node)
        assert drift.steps == (Step("rule", None, RULE),)
        assert drift.waiting == (
            f"address {OWN} waits: {other.address} on {other.interface} already exists and is managed by someone else",
        )


def test_equal_foreign_objects_are_no_drift() -> None:
    managed = replace(STATE, rules=frozenset(), addresses=frozenset(), routes=frozenset({NETWORK, LAST}))
    node = in_desired_state(
        managed=replace(managed, links=frozenset({replace(VLAN, mtu=1500)})),
        foreign_rules=frozenset({RULE}),
        foreign_addresses=frozenset({OWN}),
        foreign_routes=frozenset({DEFAULT}),
    )
    drift = find_drift(STATE, node)
    assert (drift.steps, drift.waiting) == ((), ())


def chains(variant: str, family: str, table: str = "raw") -> ChainSet:
    return ChainSet(variant, family, frozenset({Chain(family, table, "HOMEWARD-X", ("-j DROP",))}))


@pytest.mark.parametrize(
    "native",
    [
        {"iptables_incompatible": frozenset({("ipv4", "raw")})},
        {"iptables_hidden": frozenset({("ipv4", "mangle")}), "iptables_incompatible": frozenset({("ipv4", "mangle")})},
    ],
)
def test_chains_in_unreadable_tables_wait_and_nothing_else_does(native: dict[str, object]) -> None:
    other = chains("nft", "ipv6")
    desired = replace(STATE, chains=frozenset({CHAINS, other}))
    node = in_desired_state(managed=replace(STATE, rules=frozenset(), chains=frozenset()), **native)
    drift = find_drift(desired, node)
    assert [(step.kind, step.after) for step in drift.steps if step.kind == "chains"] == [("chains", other)]
    assert [step.after for step in drift.steps if step.kind == "rule"] == [RULE]
    (sentence,) = drift.unreadable
    (((_family, table),),) = [native[name] for name in sorted(native)][:1]
    assert sentence.startswith(f"ipv4 chains wait: the ipv4 table {table} of iptables-nft holds rules that")
    assert f'"nft -a list table ip {table}" shows them' in sentence


def test_native_rules_in_a_table_without_managed_chains_block_nothing() -> None:
    node = in_desired_state(
        managed=replace(STATE, chains=frozenset()),
        iptables_incompatible=frozenset({("ipv4", "filter"), ("ipv6", "raw")}),
    )
    drift = find_drift(STATE, node)
    assert ([step.after for step in drift.steps if step.kind == "chains"], drift.unreadable) == ([CHAINS], ())
