# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked about pools, and which answers they need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.listing import saved_cases
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.endpoints import find_endpoints
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.expectations import (
    Expectation,
    expectations,
    unmarked,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.pool_routes import (
    PoolRoutes,
    routes_of_pools,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Interface,
    Node,
    Route,
    Rule,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route_lookup import RouteAnswer
from tests.unit.nodes import cluster_node, declaration, pool

BOTH = pool(networks=("1.2.3.0/24", "fd00:1:2:3::/64"), gateways=("1.2.3.1", "fd00:1:2:3::1"))
#: Where the kernel sends packets without a mark
PATHS = {
    "10.112.1.2": RouteAnswer("unicast", "cni0"),
    "10.112.2.2": RouteAnswer("unicast", "eth0", "192.168.1.12"),
    "192.168.1.12": RouteAnswer("unicast", "eth0"),
    "192.168.1.11": RouteAnswer("local", "lo"),
}


def node_with(*routes: Route, **changes: Any) -> Node:
    node = cluster_node(**changes)
    local = Route("ipv4", 254, "10.112.1.0/24", interface="cni0")
    return replace(node, foreign_routes=node.foreign_routes | {local, *routes})


def pool_routes(node: Node, **changes: Any) -> tuple[PoolRoutes, ...]:
    compiled = compile_node(declaration(replace(BOTH, **changes)), node)
    return routes_of_pools(compiled.state, saved_cases(compiled))


def expected(node: Node, routes: PoolRoutes) -> list[Expectation]:
    endpoints = find_endpoints(routes.family, routes.cluster, node)
    answers = {
        question: PATHS.get(question.destination, RouteAnswer("", refusal="no"))
        for endpoint in endpoints
        for question in unmarked(endpoint, routes, "192.0.2.1")
    }
    return list(expectations(routes, endpoints, answers, node))


def lines(found: list[Expectation]) -> list[str]:
    return [f"{one.kind}: {one.question} -> {one.expected}" for one in found]


def test_replies_of_every_way_leave_by_the_gateway_and_requests_go_as_unmarked_packets() -> None:
    node = node_with()
    four, _six = pool_routes(node)
    assert lines(expected(node, four)) == [
        "reply: 192.0.2.1 from 10.112.1.2 iif cni0 mark 0x100 -> eth0.100 via 1.2.3.1",
        "reply: 1.2.3.2 from 10.112.1.2 iif cni0 mark 0x100 -> eth0.100",
        "reply: 1.2.3.1 from 10.112.1.2 iif cni0 mark 0x100 -> eth0.100",
        "request: 10.112.1.2 from 192.0.2.1 iif eth0.100 mark 0x100 -> cni0",
        "reply: 192.0.2.1 from 10.112.2.2 iif eth0 mark 0x100 -> eth0.100 via 1.2.3.1",
        "request: 10.112.2.2 from 192.0.2.1 iif eth0.100 mark 0x100 -> eth0 via 192.168.1.12",
        "reply: 192.0.2.1 from 192.168.1.12 iif eth0 mark 0x100 -> eth0.100 via 1.2.3.1",
        "request: 192.168.1.12 from 192.0.2.1 iif eth0.100 mark 0x100 -> eth0",
        "any-route: 192.0.2.1 from 192.168.1.11 -> None",
        "reply: 192.0.2.1 from 192.168.1.11 mark 0x100 -> eth0.100 via 1.2.3.1",
        "reply: 1.2.3.2 from 192.168.1.11 mark 0x100 -> eth0.100",
        "reply: 1.2.3.1 from 192.168.1.11 mark 0x100 -> eth0.100",
        "request: 192.168.1.11 from 192.0.2.1 iif eth0.100 mark 0x100 -> local lo",
    ]


def test_requests_on_a_shared_link_have_a_mark_of_their_own() -> None:
    node = node_with()
    four, _six = pool_routes(node, dedicated=False)
    marks = {(one.kind, one.question.mark) for one in expected(node, four)}
    assert marks == {("reply", four.mark), ("request", four.request_mark), ("any-route", 0)}
    assert four.mark != four.request_mark


def test_the_speaker_is_asked_for_where_ipv6_is_on_the_link() -> None:
    node = node_with()
    _four, six = pool_routes(node)
    assert lines(expected(node, six))[0] == "bound: fd00:1:2:3::2 oif eth0.100 -> eth0.100"


def test_what_foreign_rules_and_routes_are_for_is_asked_too() -> None:
    rules = {
        Rule("ipv4", 100, table=99, destination="100.64.0.0/10"),
        Rule("ipv4", 101, table=99, destination="10.112.7.0/24"),
        Rule("ipv4", 102, table=99, extra=(("FRA_UID_RANGE", b"\x05\0\0\0\xff\xff\0\0"),)),
    }
    node = node_with()
    node = replace(node, foreign_rules=node.foreign_rules | rules)
    four, _six = pool_routes(node)
    node = replace(
        node, foreign_routes=node.foreign_routes | {Route("ipv4", four.table, "9.0.0.0/8", interface="eth1")}
    )
    asked = {str(one.question) for one in expected(node, four)}
    assert "100.64.0.2 from 10.112.1.2 iif cni0 mark 0x100" in asked
    assert "9.0.0.2 from 10.112.1.2 iif cni0 mark 0x100" in asked
    assert "192.0.2.1 from 192.168.1.11 mark 0x100 uid 5" in asked
    assert not any(line.startswith("10.112.7.") for line in asked), "it is of the cluster"


def test_a_socket_on_an_address_of_the_pool() -> None:
    node = node_with()
    lo = Interface("lo", 1, True, addresses=("127.0.0.1/8", "1.2.3.40/32"))
    node = replace(
        node,
        interfaces={**node.interfaces, "lo": lo},
        foreign_addresses=node.foreign_addresses | {Address("lo", "1.2.3.40/32")},
    )
    four, _six = pool_routes(node_with())
    assert lines(expected(node, four))[0] == "reply: 192.0.2.1 from 1.2.3.40 mark 0x100 -> eth0.100 via 1.2.3.1"


def test_one_pod_of_each_link_is_asked_about_first_of_links_in_foreign_rules() -> None:
    pods = [Route("ipv4", 254, f"10.112.9.{number}/32", interface=f"cali{number:02}") for number in range(40)]
    other_table = Route("ipv4", 52, "10.112.8.0/24", interface="tailscale0")
    node = node_with(*pods, other_table)
    node = replace(node, foreign_rules=node.foreign_rules | {Rule("ipv4", 100, table=99, iif="cali33")})
    found = [one.address for one in find_endpoints("ipv4", ("10.112.0.0/12", "192.168.1.12/32"), node)]
    assert found[0] == "10.112.9.33"
    assert len(found) == 16 + 1 + 1, "pods, the other node, this node"
    few = find_endpoints("ipv4", ("10.112.8.0/24",), node)
    assert few[0].address == "10.112.8.2", "whatever the table"


def test_nothing_is_expected_of_endpoints_without_a_route() -> None:
    node = node_with()
    four, _six = pool_routes(node)
    endpoints = find_endpoints("ipv4", four.cluster, node)
    assert list(expectations(four, endpoints, {}, node)) == []


def test_pools_whose_replies_are_routed_as_all_packets() -> None:
    on_link = pool(networks=("10.9.8.0/24",), interface="eth1", gateways=())
    same_subnet = pool("lan", networks=("192.168.1.240/28",), interface="eth0", gateways=("192.168.1.1",))
    node = node_with()
    compiled = compile_node(declaration(on_link, same_subnet), node)
    found = routes_of_pools(compiled.state, saved_cases(compiled))
    assert [line for routes in found for line in lines(expected(node, routes))] == [
        "on-link: 10.9.8.2 -> eth1",
        "on-link: 192.168.1.242 -> eth0",
        "reply: 192.0.2.1 -> eth0 via 192.168.1.1",
    ]


def test_of_many_tables_the_first_endpoint_is_asked_about() -> None:
    node = node_with()
    four, _six = pool_routes(node)
    endpoints = find_endpoints("ipv4", four.cluster, node)
    answers = {one: PATHS[one.destination] for item in endpoints for one in unmarked(item, four, "192.0.2.1")}
    few = list(expectations(four, endpoints, answers, node, fully=False))
    assert {one.question.source or one.question.destination for one in few} == {"10.112.1.2", "192.0.2.1"}
