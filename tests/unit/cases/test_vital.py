# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node needs: a link that it needs is shared, and no managed route diverts its traffic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.links import ARP_ANNOUNCE, ARP_IGNORE
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address, Node, Route
from tests.unit.nodes import cluster_node, declaration, pool, vlan

LINK = "eth0.100"


def with_routes(*routes: Route, **changes: Any) -> Node:
    node = cluster_node()
    return replace(node, foreign_routes=node.foreign_routes | set(routes), **changes)


def route(destination: str, table: int = 254, **values: Any) -> Route:
    return Route("ipv4", table, destination, **values)


DEFAULT_BY_TWO = (
    route("0.0.0.0/0", metric=5, gateway="fe80::1", interface="eth0", multipath=True),
    route("0.0.0.0/0", metric=5, gateway="fe80::2", interface=LINK, multipath=True),
)

SHARED: dict[str, Node] = {
    "one next hop of several": with_routes(*DEFAULT_BY_TWO),
    "a next hop that is only an ID": with_routes(route("0.0.0.0/0", metric=5)),
    "the route to the SSH client, with the node's address on lo": with_routes(
        route("10.1.0.0/16", gateway="1.2.3.9", interface=LINK), ssh_peer="10.1.2.3", ssh_interface="lo"
    ),
    "the route to the API server": with_routes(route("10.1.0.0/16", interface=LINK), api_servers=("10.1.2.3",)),
    "a default route of another table": with_routes(route("0.0.0.0/0", table=200, gateway="1.2.3.1", interface=LINK)),
    "the same without gateway": with_routes(route("0.0.0.0/0", table=200, interface=LINK)),
    "a wider network behind a router": with_routes(route("1.2.0.0/16", gateway="1.2.3.9", interface=LINK)),
}
DEDICATED: dict[str, Node] = {
    "another default route, one of whose next hops has no link": with_routes(
        route("0.0.0.0/0", metric=5, multipath=True), DEFAULT_BY_TWO[0]
    ),
    "its own network": with_routes(route("1.2.3.0/24", interface=LINK)),
    "a wider network on the link": with_routes(route("1.2.0.0/16", interface=LINK)),
    "part of it behind a router": with_routes(route("1.2.3.64/26", gateway="1.2.3.9", interface=LINK)),
    "the route to the SSH client, over another link": with_routes(ssh_peer="10.1.2.3", ssh_interface="lo"),
    "the pool's own address, on a kernel without address protocols": cluster_node(
        foreign_addresses=frozenset({Address(LINK, "1.2.3.11/32")})
    ),
}


@pytest.mark.parametrize("name", [*SHARED, *DEDICATED])
def test_a_link_is_shared_if_the_node_uses_it(name: str) -> None:
    one = pool(networks=("1.2.3.128/25",), onlink_networks=("1.2.3.0/24",), addresses=("1.2.3.11",))
    (group,) = compile_node(declaration(one), {**SHARED, **DEDICATED}[name]).groups
    assert group.shared is (name in SHARED)


VITAL = [name for name in SHARED if name not in ("a wider network behind a router",) and "table" not in name]


@pytest.mark.parametrize("name", [name for name in VITAL if name != "the same without gateway"])
def test_a_vital_link_cannot_be_declared_dedicated(name: str) -> None:
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(pool(dedicated=True)), SHARED[name])
    assert [error.path for error in caught.value.errors] == ["pools[0].dedicated"]


def test_a_link_to_a_declared_api_server_is_vital() -> None:
    node = with_routes(route("10.1.0.0/16", interface=LINK))
    named = Cluster(api_servers=("10.1.2.3",))
    with pytest.raises(InputErrors, match=r"10\.1\.2\.3, a Kubernetes API server, is reached over it"):
        compile_node(declaration(pool(dedicated=True), cluster=named), node)


@pytest.mark.parametrize(
    ("changes", "node", "path", "words"),
    [
        (
            {"onlink_networks": ("192.168.1.0/25",)},
            cluster_node(),
            "onlink_networks",
            "is in an on-link network of eth0, whose traffic a route would divert to eth1",
        ),
        (
            {"onlink_networks": ("192.168.1.64/26",)},
            cluster_node(),
            "onlink_networks",
            "is in an on-link network of eth0, whose traffic a route would divert to eth1",
        ),
        (
            {"onlink_networks": ("172.16.0.0/12",)},
            cluster_node(ssh_peer="172.16.2.3"),
            "onlink_networks",
            "172.16.2.3, the peer of this run's SSH connection",
        ),
        (
            {"onlink_networks": ("172.16.0.0/12",)},
            cluster_node(api_servers=("172.16.2.3",)),
            "onlink_networks",
            "172.16.2.3, a Kubernetes API server",
        ),
        (
            {"onlink_networks": ("192.0.2.0/24",)},
            cluster_node(),
            "onlink_networks",
            "192.0.2.12, a node of the cluster",
        ),
        (
            {"onlink_networks": ("10.112.0.0/16",)},
            cluster_node(),
            "onlink_networks",
            "overlaps 10.112.0.0/12 of the cluster",
        ),
        (
            {"onlink_networks": ("10.96.0.0/13",)},
            cluster_node(),
            "onlink_networks",
            "overlaps 10.96.0.0/12 of the cluster",
        ),
        (
            {
                "onlink_networks": ("192.168.1.0/24",),
                "gateways": ("192.168.1.1",),
                "addresses": ("1.2.3.11",),
                "dedicated": True,
            },
            cluster_node(),
            "gateways",
            "192.168.1.1/32 is in an on-link network of eth0",
        ),
    ],
)
def test_a_route_that_would_divert_traffic_is_refused(
    changes: dict[str, Any], node: Node, path: str, words: str
) -> None:
    case = "policy_routing" if "gateways" in changes else "onlink_route"
    one = pool(**{"case": case, "gateways": (), "interface": "eth1", **changes})
    desired = declaration(one)
    cluster = replace(desired.cluster, node_addresses=(*desired.cluster.node_addresses, "192.0.2.12"))
    with pytest.raises(InputErrors) as caught:
        compile_node(replace(desired, cluster=cluster), node)
    (error,) = caught.value.errors
    assert error.path == f"pools[0].{path}"
    assert words in error.problem
    assert error.remedy


@pytest.mark.parametrize(
    ("changes", "node"),
    [
        ({"onlink_networks": ("10.9.0.0/16",)}, cluster_node()),
        # The on-link network of eth0 is more specific, so its traffic stays there.
        ({"onlink_networks": ("192.0.0.0/8",)}, cluster_node(ssh_peer="192.168.1.77")),
        ({"onlink_networks": ("10.9.0.0/16",)}, with_routes(route("10.9.0.0/16", interface="eth1"))),
        # The SSH client is on this very link.
        (
            {"onlink_networks": ("10.9.0.0/16",)},
            with_routes(route("10.9.0.0/16", interface="eth1"), ssh_peer="10.9.2.3", ssh_interface="eth1"),
        ),
        # Routes in a table of its own divert nothing: a second router on the nodes' own network.
        ({"onlink_networks": ("192.168.1.0/24",), "gateways": ("192.168.1.254",), "interface": "eth0"}, cluster_node()),
    ],
)
def test_a_route_that_diverts_nothing_is_made(changes: dict[str, Any], node: Node) -> None:
    case = "policy_routing" if "gateways" in changes else "onlink_route"
    one = pool(**{"case": case, "networks": ("10.8.8.0/24",), "gateways": (), "interface": "eth1", **changes})
    assert compile_node(declaration(one), node).state.routes


@pytest.mark.parametrize(
    ("values", "originals", "managed"),
    [
        ({}, {}, {ARP_IGNORE, ARP_ANNOUNCE}),
        ({ARP_IGNORE: "0", ARP_ANNOUNCE: "1"}, {}, {ARP_IGNORE, ARP_ANNOUNCE}),
        # As kube-proxy sets it; and as an earlier run did, over another value.
        ({ARP_IGNORE: "1", ARP_ANNOUNCE: "2"}, {}, set()),
        ({ARP_IGNORE: "1", ARP_ANNOUNCE: "2"}, {ARP_IGNORE: "0"}, {ARP_IGNORE}),
    ],
)
def test_strict_arp_that_is_set_already_is_foreign(
    values: dict[str, str], originals: dict[str, str], managed: set[str]
) -> None:
    node = cluster_node(sysctls={**cluster_node().sysctls, **values}, originals=originals)
    desired = declaration(pool(case="source_routing"), cluster=Cluster(kube_proxy_mode="ipvs"))
    sysctls = compile_node(desired, node).state.sysctls
    assert {item.name for item in sysctls if "/all/arp_" in item.name} == managed


PART = pool(networks=("1.2.3.64/26",), onlink_networks=("1.2.3.0/24",))
NEAR, FAR = "1.2.3.10", "9.9.9.9"


@pytest.mark.parametrize("source", ["declared", "kubeconfig", "DNS"])
@pytest.mark.parametrize(("address", "shared"), [(NEAR, True), (FAR, False)])
def test_a_link_with_a_server_in_one_of_its_networks_is_shared(source: str, address: str, shared: bool) -> None:
    cluster = Cluster(api_servers=(address,) if source == "declared" else ())
    servers = {"kubeconfig": {"api_servers": (address,)}, "DNS": {"dns_servers": (address,)}}.get(source, {})
    node = replace(cluster_node(), **servers)
    (group,) = compile_node(declaration(PART, cluster=cluster), node).groups
    assert group.shared is shared
    new = replace(node, interfaces={name: one for name, one in node.interfaces.items() if name != LINK})
    created = replace(PART, vlan=vlan())
    assert [one.shared for one in compile_node(declaration(created, cluster=cluster), new).groups] == [shared]


@pytest.mark.parametrize("address", [NEAR, FAR])
def test_a_declared_dedicated_link_lets_packets_of_servers_pass(address: str) -> None:
    node = replace(
        cluster_node(), dns_servers=(address, "1.2.3.70", "fd00::53"), ssh_peer="1.2.3.20", ssh_interface="eth0"
    )
    state = compile_node(declaration(replace(PART, dedicated=True)), node).state
    (rules,) = (
        chain.rules
        for chains in state.chains
        for chain in chains.chains
        if chain.name == f"HOMEWARD-IN-{LINK}" and chain.table == "raw"
    )
    assert [rule for rule in rules if rule.endswith("RETURN")] == [
        f"-d {address}/32 -j RETURN",
        "-d 1.2.3.20/32 -j RETURN",
        f"-s {address}/32 -j RETURN",
        "-s 1.2.3.20/32 -j RETURN",
    ], "not those of a DNS server in the pool"
    assert rules[-1] == "-j DROP"


def test_a_peer_elsewhere_needs_no_exception() -> None:
    """So the chains do not depend on where the controller is."""
    here = replace(cluster_node(), ssh_peer="203.0.113.9", ssh_interface="eth0")
    there = replace(here, ssh_peer="203.0.113.10")
    assert compile_node(declaration(PART), here).state == compile_node(declaration(PART), there).state
