# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about a node that several cases ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from ..declaration.model import Declaration
from ..state import Node, Route
from ..state.family import contains, covering
from ..state.route import MAIN_TABLE


def attached_networks(node: Node) -> tuple[tuple[str, str], ...]:
    """Return (network, interface) of everything that other owners made on-link in the main table, best metric first.

    That is what the kernel adds beside an address with a prefix, and what people add by ``ip route add NETWORK dev LINK``.
    """
    found = (
        route
        for route in node.foreign_routes
        if route.table == MAIN_TABLE
        and route.type == "unicast"
        and route.interface
        and not route.gateway
        and not route.multipath
        and not route.is_default
    )
    best_first = sorted(found, key=lambda route: (route.destination, route.metric, route.interface))
    return tuple((route.destination, route.interface) for route in best_first)


def is_link_local(address: str) -> bool:
    """Whether an ``address/length`` is link-local (RFC 3927, RFC 4291 section 2.5.6)."""
    return ipaddress.ip_interface(address).is_link_local


def other_addresses(node: Node, interface: str, networks: Iterable[str]) -> tuple[str, ...]:
    """Return the node's own addresses on the interface that are neither ours, nor link-local, nor inside ``networks``."""
    pools = tuple(networks)
    return tuple(
        sorted(
            address.address
            for address in node.foreign_addresses_by_link.get(interface, ())
            if not is_link_local(address.address) and not covering(pools, address.address.partition("/")[0])
        )
    )


def why_shared(node: Node, declaration: Declaration, interface: str) -> str:
    """Return why the interface carries other traffic of the node than the pools', or ``""`` where it does not."""
    if interface not in node.interfaces:
        return ""
    vital = why_vital(node, declaration, interface)
    if vital:
        return vital
    pools = declaration.pools_by_interface.get(interface, ())
    networks = [network for pool in pools for network in pool.networks]
    # Before Linux 5.18 the pools' own addresses look like somebody else's.
    declared = [address for pool in pools for address in pool.addresses]
    others = other_addresses(node, interface, [*networks, *declared])
    if others:
        return f"the node has the address {others[0]} on it"
    attached = [*networks, *(network for pool in pools for network in pool.onlink_networks)]
    routes = _other_routes(node, interface, attached)
    return f'the node has the route "{routes[0]}" over it' if routes else ""


def why_vital(node: Node, declaration: Declaration, interface: str) -> str:
    """Return why the node would be cut off if everything but the pools were dropped on the interface, or ``""``."""
    if interface == node.ssh_interface:
        return f"the connection from {node.ssh_peer} that this runs over uses it"
    for route in node.default_routes:
        if route.interface == interface:
            return "a default route of the main table leaves by it"
        if route.type == "unicast" and not route.interface:
            return "a default route of the main table tells its next hop by number only (nhid), which may lead over it"
    servers = (*declaration.cluster.api_servers, *node.api_servers)
    for what, addresses in (("the connection", (node.ssh_peer,)), ("a Kubernetes API server", servers)):
        for address in addresses:
            if address and interface in node.way_to(address)[1]:
                return f"{what} at {address} is reached over it"
    return ""


def _other_routes(node: Node, interface: str, attached: Iterable[str]) -> tuple[Route, ...]:
    """Return routes of other owners over the interface that lead elsewhere than into the networks attached to it."""
    inside = tuple(attached)
    leading = node.foreign_routes_by_link.get(interface, ())
    return tuple(route for route in leading if not _is_of_the_link(route, inside))


def _is_of_the_link(route: Route, attached: tuple[str, ...]) -> bool:
    """Whether a route is one that every link has, or leads into a network attached to this one, or to all of that.

    One with a gateway leads further, and so does a default route, of whatever table: replies to what the node sends there
    come back by this link.
    """
    network: Any = ipaddress.ip_network(route.destination)
    if network.is_link_local or network.is_multicast or covering(attached, route.destination):
        return True
    if route.gateway or route.is_default:
        return False
    return any(contains(route.destination, inner) for inner in attached)


def effective_mode(declaration: Declaration, node: Node) -> str:
    """Return the kube-proxy mode to work for: as declared, else as seen, else ``""``."""
    declared = declaration.cluster.kube_proxy_mode
    return node.kube_proxy.mode if declared == "auto" else declared
