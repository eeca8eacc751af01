# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``node_services`` compiles to, and where it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.model import Compiled
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address, Node, Route
from tests.unit.nodes import cluster_node, declaration, pool

MAIN = 254
#: The node is 10.9.0.11 on eth1, where the pool and its gateway are.
ROUTES = frozenset(
    {
        Route("ipv4", MAIN, "10.9.0.0/24", interface="eth1", source="10.9.0.11"),
        Route("ipv4", MAIN, "10.50.0.0/16", gateway="10.9.0.254", interface="eth1"),
        Route("ipv6", MAIN, "fe80::/64", metric=256, interface="eth1"),
        Route("ipv4", 99, "10.60.0.0/16", interface="eth1"),
    }
)
ADDRESSES = frozenset({Address("eth1", "10.9.0.11/24"), Address("eth1", "fe80::11/64")})
POOL = {
    "interface": "eth1",
    "networks": ("10.9.0.128/25",),
    "onlink_networks": ("10.9.0.0/29",),
    "gateways": ("10.9.0.1",),
    "node_services": True,
}
OWN = "10.9.0.11/32"


def node_with(*routes: Route) -> Node:
    node = cluster_node()
    return replace(
        node,
        foreign_routes=node.foreign_routes | ROUTES | set(routes),
        foreign_addresses=node.foreign_addresses | ADDRESSES,
    )


def compiled(*routes: Route, mode: str = "iptables", **changes: Any) -> Compiled:
    cluster = replace(declaration().cluster, kube_proxy_mode=mode)
    return compile_node(declaration(pool(**{**POOL, **changes}), cluster=cluster), node_with(*routes))


def rules_of(result: Compiled, table: str) -> str:
    chains = (chain for chains in result.state.chains for chain in chains.chains if chain.table == table)
    return "\n".join(rule for chain in chains for rule in chain.rules)


def thrown(result: Compiled) -> set[str]:
    return {route.destination for route in result.state.routes if route.type == "throw"}


CLUSTER = {"10.112.0.0/12", "192.168.1.11/32", "192.168.1.12/32"}


@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
def test_connections_to_own_addresses_get_the_mark_of_the_pool(case: str) -> None:
    result = compiled(case=case)
    assert f"-d {OWN} -g HOMEWARD-0x100" in rules_of(result, "mangle")
    assert thrown(result) == CLUSTER | {"10.9.0.0/24", "10.50.0.0/16"}
    without = compiled(case=case, node_services=False)
    assert OWN not in rules_of(without, "mangle")
    assert thrown(without) == CLUSTER


def test_only_networks_behind_other_routers_of_the_link_are_excepted_and_few() -> None:
    """A BGP daemon may have a million routes by the pool's gateway; those by others are joined."""
    by_gateway = (Route("ipv4", MAIN, f"20.{n}.0.0/16", gateway="10.9.0.1", interface="eth1") for n in range(5))
    joined = (Route("ipv4", MAIN, f"21.{n}.0.0/16", gateway="10.9.0.2", interface="eth1") for n in range(256))
    two_hops = (
        Route("ipv4", MAIN, "22.0.0.0/8", gateway=one, interface="eth1", multipath=True)
        for one in ("10.9.0.1", "10.9.0.2")
    )
    expected = CLUSTER | {"10.9.0.0/24", "10.50.0.0/16", "21.0.0.0/8", "22.0.0.0/8"}
    result = compiled(*by_gateway, *joined, *two_hops)
    assert thrown(result) == expected
    assert not [one for one in result.warnings if "excepted" in one]


def test_exceptions_are_limited_to_the_largest_networks_with_a_warning() -> None:
    small = (
        Route("ipv4", MAIN, f"23.{n // 128}.{n % 128 * 2}.0/24", gateway="10.9.0.2", interface="eth1")
        for n in range(2000)
    )
    result = compiled(*small)
    assert len(thrown(result) - CLUSTER) == 1000
    assert {"10.9.0.0/24", "10.50.0.0/16"} <= thrown(result)
    (warning,) = (one for one in result.warnings if "excepted" in one)
    assert warning.startswith("pools[0].node_services: the main table reaches 2002 or more IPv4 networks over eth1")


def test_nodes_and_pods_may_reach_own_addresses_and_the_guard_passes_them() -> None:
    assert OWN not in rules_of(compiled(), "raw"), "a shared link"
    raw = rules_of(compiled(dedicated=True), "raw")
    assert f"-d {OWN} -j RETURN\n-j DROP" in raw
    assert f"-d {OWN} -g" not in raw


def test_the_guard_closes_declared_addresses_only_without_the_option() -> None:
    closed = "-d 10.9.0.20/32 ! -p icmp -j DROP"
    given = {"dedicated": True, "addresses": ("10.9.0.20",), "networks": ("10.9.0.128/25",)}
    assert closed in rules_of(compiled(node_services=False, **given), "raw")
    raw = rules_of(compiled(**given), "raw")
    assert closed not in raw
    assert "-s 10.9.0.20/32 -j DROP" in raw, "a forged source"


def test_under_ipvs_source_routing_uses_the_source() -> None:
    rules = compiled(mode="ipvs", case="source_routing").state.rules
    assert {rule.source for rule in rules if rule.priority == 2200} == {"10.9.0.128/25", OWN}


@pytest.mark.parametrize(
    ("routes", "refused"),
    [
        ((Route("ipv4", MAIN, "0.0.0.0/0", metric=0, gateway="10.9.0.3", interface="eth1"),), True),
        ((Route("ipv4", MAIN, "0.0.0.0/0", metric=200, gateway="10.9.0.3", interface="eth1"),), False),
        ((Route("ipv6", MAIN, "::/0", metric=1, gateway="fe80::9", interface="eth1"),), False),
        ((), False),
    ],
)
def test_clients_of_the_default_router_are_not_answered_through_another_one(
    routes: tuple[Route, ...], refused: bool
) -> None:
    node = node_with(*routes)
    if routes and routes[0].metric == 0:
        node = replace(node, foreign_routes=frozenset(r for r in node.foreign_routes if r.gateway != "192.168.1.1"))
    if not refused:
        compile_node(declaration(pool(**POOL)), node)
        return
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(pool(**POOL)), node)
    (error,) = caught.value.errors
    assert error.path == "pools[0].node_services"
    assert "through 10.9.0.3, and replies to clients behind that router would leave through 10.9.0.1" in str(error)


def test_two_gateways_cannot_both_answer() -> None:
    other = pool("other", **{**POOL, "networks": ("10.9.0.64/26",), "gateways": ("10.9.0.2",)})
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(pool(**POOL), other), node_with())
    assert [error.path for error in caught.value.errors] == ["pools[1].node_services"]
    compile_node(declaration(pool(**POOL), replace(other, node_services=False)), node_with())


def test_a_case_without_a_gateway_on_this_node_is_refused() -> None:
    route = Route("ipv4", MAIN, "0.0.0.0/0", gateway="10.9.0.1", interface="eth1")
    node = node_with(route)
    node = replace(node, foreign_routes=frozenset(r for r in node.foreign_routes if r.gateway != "192.168.1.1"))
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(pool(**POOL)), node)
    assert "case same_subnet routes no replies through a gateway" in str(caught.value)


def test_without_an_address_it_has_no_effect() -> None:
    declared = declaration(pool(node_services=True), cluster=Cluster(kube_proxy_mode="ipvs"))
    warnings = compile_node(declared, cluster_node()).warnings
    assert "pools[0].node_services: the node has no address on eth0.100, so it has no effect." in warnings
    assert not any("node_services" in text for text in compiled().warnings)
