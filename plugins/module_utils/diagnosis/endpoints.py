# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that stand for all endpoints and clients of a node's pools: one for each way to them; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..state import Node, Route, Rule
from ..state.family import contains, covering, family_of, full_length
from ..state.node import IPVS_LINKS
from ..state.route import LOCAL_TABLE
from ..state.route_lookup import OUTSIDE
from .pool_routes import PoolRoutes

MOST_LINKS = 16  # of pods, each of which is asked about; Calico has a link for each pod
MOST_NODES = 4
MOST_FOREIGN = 8  # foreign rules and routes whose destinations are asked about
_TRIED = 64  # addresses of a network, to find one that nobody has


@dataclass(frozen=True)
class Endpoint:
    """An address of the cluster.

    :param is_own: of this node itself.
    """

    address: str
    is_own: bool = False


def find_endpoints(family: str, cluster: Collection[str], node: Node) -> tuple[Endpoint, ...]:
    """Return pods, one for each link that leads to some, other nodes, and an address of this node.

    Pods are found by the routes to them, whatever table they are in.

    :param cluster: networks of pods, and addresses of nodes.
    """
    own = own_addresses(family, node)
    pods = _pods(family, cluster, node, own)
    seen = {one.address for one in pods}
    nodes = [
        Endpoint(address)
        for network in sorted(cluster)
        if not any(contains(network, pod) for pod in seen)
        for address in islice(_hosts(network, own), 1)
    ]
    here = [address for address in own if covering(cluster, address)] or list(own)
    return (*pods, *nodes[:MOST_NODES], *(Endpoint(address, is_own=True) for address in here[:1]))


def own_addresses(family: str, node: Node, ignored: Collection[str] = IPVS_LINKS) -> tuple[str, ...]:
    """Return the node's own addresses without length, except those that are valid on their link only.

    :param ignored: links; by default those that have the addresses of all services.
    """
    found = (
        ipaddress.ip_interface(address).ip
        for name, interface in sorted(node.interfaces.items())
        if name not in ignored
        for address in interface.addresses
        if family_of(address) == family
    )
    return tuple(str(address) for address in found if not (address.is_link_local or address.is_loopback))


def _pods(family: str, cluster: Collection[str], node: Node, own: Collection[str]) -> list[Endpoint]:
    named = {rule.iif for rule in node.foreign_rules if rule.iif}
    routes = sorted(
        (
            route
            for route in node.foreign_routes
            if route.family == family
            and route.type == "unicast"
            and route.table != LOCAL_TABLE
            and route.interface
            and covering(cluster, route.destination)
        ),
        key=lambda route: (route.interface not in named, route.interface, route),
    )
    by_link: dict[str, str] = {}
    for route in routes:
        if route.interface not in by_link:
            address = next(_hosts(route.destination, own), "")
            by_link.update({route.interface: address} if address else {})
    return [Endpoint(address) for address in islice(dict.fromkeys(by_link.values()), MOST_LINKS)]


def outside_clients(routes: PoolRoutes, node: Node) -> tuple[str, ...]:
    """Return a host of the Internet, and hosts for which foreign rules and foreign routes of the table are meant."""
    taken = (*routes.networks, *routes.on_link, *routes.cluster, *own_addresses(routes.family, node))
    default = (address for address in OUTSIDE if family_of(address) == routes.family and not covering(taken, address))
    meant = sorted({*_destinations(node.foreign_rules, routes), *_destinations(_in_table(routes, node), routes)})
    special = (address for network in meant for address in islice(_hosts(network, ()), 1))
    free = (address for address in special if not covering(taken, address) and not _is_local_only(address))
    return tuple(dict.fromkeys((*islice(default, 1), *islice(free, MOST_FOREIGN))))


def _destinations(items: Iterable[Rule | Route], routes: PoolRoutes) -> Iterator[str]:
    for item in items:
        if item.family == routes.family and item.destination and not item.destination.endswith("/0"):
            yield item.destination


def _in_table(routes: PoolRoutes, node: Node) -> Iterator[Route]:
    return (route for route in node.foreign_routes if routes.table and route.table == routes.table)


def _is_local_only(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_link_local or parsed.is_multicast or parsed.is_loopback or parsed.is_unspecified


def on_link_client(networks: Iterable[str], routes: PoolRoutes, node: Node) -> str:
    """Return a host in one of the networks on the link, ``""`` if there is none."""
    own = own_addresses(routes.family, node, ignored=())
    hosts = (address for network in networks for address in _hosts(network, own))
    return next(
        (one for one in islice(hosts, _TRIED) if not covering(routes.cluster, one) and one != routes.gateway), ""
    )


def _hosts(network: str, own: Collection[str]) -> Iterator[str]:
    """Yield hosts of a network that are not this node; the first host address is often that of a bridge or router."""
    parsed = ipaddress.ip_network(network)
    if parsed.prefixlen >= full_length(family_of(network)) - 1:
        hosts = list(parsed)
    else:
        first = int(parsed.network_address) + 2
        last = int(parsed.broadcast_address)
        kind = type(parsed.network_address)
        hosts = [kind(number) for number in range(first, min(first + _TRIED, last))]
    yield from (str(host) for host in hosts if str(host) not in own)
