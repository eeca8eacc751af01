# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What compiling reads: the declaration and the node, and what is derived from both once per run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..declaration.model import Declaration
from ..state import Node
from ..state.family import FAMILIES, IPV6, collapse, family_of, full_length
from ..state.lookup import AddressLookup, NetworkLookup
from ..state.route import MAIN_TABLE
from .vital import VitalAddress, find_servers, find_vital_addresses, find_vital_peers, is_link_local

_FEW_NETWORKS = 4


@dataclass(frozen=True)
class Context:
    """A declaration and the node that it is compiled for."""

    declaration: Declaration
    node: Node

    @cached_property
    def kube_proxy_mode(self) -> str:
        """The mode as declared, else as detected on the node, else ``""``."""
        declared = self.declaration.cluster.kube_proxy_mode
        return self.node.kube_proxy.mode if declared == "auto" else declared

    @cached_property
    def onlink_interfaces(self) -> NetworkLookup[str]:
        """The interface of each foreign on-link network in the main table; of equal networks the best metric counts."""
        return NetworkLookup((network, links[0]) for network, links in self._links_by_network.items())

    @cached_property
    def attached_interfaces(self) -> NetworkLookup[tuple[str, ...]]:
        """All interfaces of each foreign on-link network in the main table, the one that the kernel uses first."""
        return NetworkLookup(self._links_by_network.items())

    @cached_property
    def _links_by_network(self) -> Mapping[str, tuple[str, ...]]:
        """Interfaces by network, best metric first.

        These are the routes that the kernel adds with an address, and those that administrators add with
        ``ip route add NETWORK dev LINK``. A route over a tunnel leads to networks elsewhere.
        """
        tunnels = {link.name for link in self.node.interfaces.values() if link.point_to_point}
        found = (
            route
            for route in self.node.foreign_routes
            if route.table == MAIN_TABLE
            and route.type == "unicast"
            and route.interface
            and route.interface not in tunnels
            and not route.gateway
            and not route.multipath
            and not route.is_default
        )
        links: dict[str, list[str]] = {}
        for route in sorted(found, key=lambda route: (route.destination, route.metric, route.interface)):
            links.setdefault(route.destination, []).append(route.interface)
        return {network: tuple(names) for network, names in links.items()}

    @cached_property
    def cluster_networks(self) -> Mapping[str, tuple[str, ...]]:
        """The networks of pods and the addresses of nodes by family, as few networks as have exactly these addresses."""
        cluster = self.declaration.cluster
        networks = collapse((*cluster.pod_networks, *cluster.node_addresses))
        return {family: tuple(one for one in networks if family_of(one) == family) for family in FAMILIES}

    @cached_property
    def has_many_ipv6_networks(self) -> bool:
        """Whether the pools have so many IPv6 networks that packets of other links should not be compared with them."""
        networks = (network for pool in self.declaration.pools for network in (*pool.networks, *pool.onlink_networks))
        return sum(family_of(network) == IPV6 for network in networks) > _FEW_NETWORKS

    def own_networks(self, interface: str, family: str) -> tuple[str, ...]:
        """Return the node's own addresses on a link, foreign and not link-local, as networks."""
        return tuple(
            f"{own.address.partition('/')[0]}/{full_length(family)}"
            for own in self.node.foreign_addresses_by_link.get(interface, ())
            if own.family == family and not is_link_local(own.address)
        )

    def reached_over(self, interface: str, family: str, gateway: str) -> tuple[str, ...]:
        """Return the networks that foreign routes of the main table lead to over a link, but not by this gateway.

        Default routes are left out. The networks have exactly the same addresses as those of the routes, and are as few as
        possible; first come the largest.
        """
        networks = collapse(
            route.destination
            for route in self.node.foreign_routes_by_link.get(interface, ())
            if route.family == family
            and route.table == MAIN_TABLE
            and route.type == "unicast"
            and (route.gateway != gateway or route.multipath or not gateway)
            and not route.is_default
            and not is_link_local(route.destination)
        )
        return tuple(sorted(networks, key=lambda network: (int(network.partition("/")[2]), network)))

    @cached_property
    def vital_addresses(self) -> tuple[VitalAddress, ...]:
        """The addresses that the node needs."""
        return tuple(find_vital_addresses(self.declaration, self.node))

    @cached_property
    def vital_peers(self) -> tuple[VitalAddress, ...]:
        """The vital addresses of other hosts, which the node must reach."""
        return tuple(find_vital_peers(self.declaration, self.node))

    @cached_property
    def servers(self) -> tuple[VitalAddress, ...]:
        """The servers that the node needs, wherever they are; no guard may drop their packets."""
        return tuple(find_servers(self.declaration, self.node))

    @cached_property
    def vital_lookup(self) -> AddressLookup[VitalAddress]:
        """The addresses that the node needs, found by the network that they are in."""
        return AddressLookup((vital.address, vital) for vital in self.vital_addresses)

    @cached_property
    def own_addresses(self) -> Mapping[str, str]:
        """The interface of each foreign address on the node, by the address without its length."""
        first_counts = sorted(self.node.foreign_addresses, reverse=True)
        return {own.address.partition("/")[0]: own.interface for own in first_counts}
