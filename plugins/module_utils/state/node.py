# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node: what of it is ours, and the surroundings that decide what we may do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from .address import Address
from .chain import ChainSet
from .family import FAMILIES
from .file import File
from .kinds import KINDS, Kind
from .link import Link
from .lookup import NetworkLookup
from .route import MAIN_TABLE, Route
from .rule import Rule
from .sysctl import Sysctl
from .unit import Unit

PROTOCOL_NAME = "homeward"  # of the protocol number, for whoever reads what `ip` prints
# Links on which every node has all services' addresses under IPVS: kube-proxy's, kube-router's.
IPVS_LINKS = ("kube-ipvs0", "kube-dummy-if")


@dataclass(frozen=True)
class Ownership:
    """How we tell our own objects from everybody else's.

    :param protocol: of routes, rules and addresses (``rtm_protocol``, ``FRA_PROTOCOL``, ``IFA_PROTO``), 5-255.
    :param alias: ``ifalias`` of links.
    :param chain_prefix: every chain of ours begins with it.
    :param comment: of the jumps into our chains; they are known by where they lead, and comparing with a comment costs every
        packet about 0.1 microseconds, so there is none unless it is asked for.
    """

    protocol: int = 77
    alias: str = "homeward.metallb_routing"
    chain_prefix: str = "HOMEWARD-"
    comment: str = ""


@dataclass(frozen=True)
class NodeState:
    """A set of objects, by kind: the desired state of a node, or the managed part of its current state.

    The fields are the plurals of the registry, :data:`KINDS`.
    """

    files: frozenset[File] = frozenset()
    links: frozenset[Link] = frozenset()
    sysctls: frozenset[Sysctl] = frozenset()
    addresses: frozenset[Address] = frozenset()
    routes: frozenset[Route] = frozenset()
    chains: frozenset[ChainSet] = frozenset()
    rules: frozenset[Rule] = frozenset()
    units: frozenset[Unit] = frozenset()

    def of(self, kind: Kind) -> frozenset[Any]:
        """Return the objects of one kind."""
        objects: frozenset[Any] = getattr(self, kind.plural)
        return objects

    def parts_of(self, kind: Kind) -> list[Any]:
        """Return what the objects of one kind are made of, see :class:`Kind`: the chains of the sets of chains."""
        return [part for item in self.of(kind) for part in kind.parts(item)]

    @property
    def is_empty(self) -> bool:
        """Whether there is no object at all; a set of chains without a chain is none."""
        return not any(kind.parts(item) for kind in KINDS for item in self.of(kind))

    def only(self, plurals: Collection[str]) -> NodeState:
        """Return the objects of some kinds."""
        return NodeState(**{kind.plural: self.of(kind) for kind in KINDS if kind.plural in plurals})

    def without(self, objects: Set[Any]) -> NodeState:
        """Return all objects but these, of whatever kind they are."""
        return NodeState(**{kind.plural: self.of(kind) - objects for kind in KINDS})

    @classmethod
    def union(cls, states: Iterable[NodeState]) -> NodeState:
        """Return all objects of all the states."""
        parts = tuple(states)
        return cls(**{kind.plural: frozenset().union(*(state.of(kind) for state in parts)) for kind in KINDS})


@dataclass(frozen=True)
class Interface:
    """One link of the node, whoever made it.

    :param addresses: with prefix length, link-local ones included, ours too.
    :param kind: ``IFLA_INFO_KIND`` (``veth``, ``bridge`` ...), ``""`` for hardware; ``vlan`` is one of 802.1Q only.
    :param parent: name of the link below, ``""`` if none or outside this network namespace.
    :param managed: carries our alias.
    """

    name: str
    index: int
    up: bool
    kind: str = ""
    parent: str = ""
    vlan_id: int = 0
    mtu: int = 1500
    alias: str = ""
    master: str = ""
    addresses: tuple[str, ...] = ()
    managed: bool = False


@dataclass(frozen=True)
class KubeProxy:
    """What serves the services on this node, as far as it can be seen.

    :param mode: ``iptables``, ``nftables``, ``ipvs``, ``ebpf`` (something that replaces kube-proxy) or ``""`` for nothing seen.
    :param reason: by which sign.
    """

    mode: str = ""
    reason: str = "no sign of kube-proxy"


class RouteTo(NamedTuple):
    """The longest match for an address in the main table.

    :param network: the destination of the routes, ``""`` if there is none.
    :param interfaces: the links that they use, sorted.
    """

    network: str = ""
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """One read of everything.

    :param managed: what carries our mark of ownership.
    :param interfaces: by name.
    :param foreign_routes: of other owners, in every table but ``local`` (255).
    :param foreign_rules: of other owners, the kernel's three included.
    :param foreign_addresses: of other owners; those of a declared interface decide whether it is shared.
    :param sysctls: present value of every setting that the desired state may touch; missing ones are left out.
    :param originals: value that a setting of ours had before we first changed it.
    :param variant: ``nft`` or ``legacy``: the iptables that kube-proxy or the CNI uses here.
    :param default_variant: what plain ``iptables`` is here.
    :param iptables_incompatible: family and table of what cannot be read with it, as ``nft`` itself wrote to it.
    :param iptables_hidden: family and table of nft where there are chains of ours that cannot be read for the same reason;
        whatever is read of ours in that family is not all there is.
    :param iptables_families: those whose chains can be read and written here.
    :param accepting_chains: of a network plugin in ``mangle`` that accept packets of known connections: no rule after them
        is asked about such a packet.
    :param services: names of the systemd units that are active.
    :param ssh_peer: address at the other end of the connection we run over; ``""`` if there is none.
    :param ssh_interface: name of the link which that connection uses.
    :param api_servers: addresses of the Kubernetes API that this node's kubelet talks to, where that can be seen.
    """

    managed: NodeState = field(default_factory=NodeState)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    foreign_routes: frozenset[Route] = frozenset()
    foreign_rules: frozenset[Rule] = frozenset()
    foreign_addresses: frozenset[Address] = frozenset()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)
    variant: str = "nft"
    default_variant: str = "nft"
    iptables_incompatible: frozenset[tuple[str, str]] = frozenset()
    iptables_hidden: frozenset[tuple[str, str]] = frozenset()
    iptables_families: tuple[str, ...] = FAMILIES
    kube_proxy: KubeProxy = field(default_factory=KubeProxy)
    accepting_chains: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    ssh_peer: str = ""
    ssh_interface: str = ""
    api_servers: tuple[str, ...] = ()

    @cached_property
    def default_routes(self) -> tuple[Route, ...]:
        """Default routes of the main table that other owners made, best metric first."""
        found = (route for route in self.foreign_routes if route.table == MAIN_TABLE and route.is_default)
        return tuple(sorted(found, key=lambda route: (route.family, route.metric, route)))

    @cached_property
    def _main_routes(self) -> NetworkLookup[RouteTo]:
        links: dict[str, set[str]] = {}
        for route in self.foreign_routes:
            if route.table == MAIN_TABLE:
                links.setdefault(route.destination, set()).add(route.interface)
        return NetworkLookup((network, RouteTo(network, tuple(sorted(found)))) for network, found in links.items())

    def route_to(self, address: str) -> RouteTo:
        """Return the foreign routes of the main table that lead to the address."""
        return self._main_routes.longest(address) or RouteTo()

    @cached_property
    def foreign_routes_by_link(self) -> Mapping[str, tuple[Route, ...]]:
        """Routes of other owners by the name of their link, each link's in order."""
        found: dict[str, list[Route]] = {}
        for route in sorted(self.foreign_routes):
            found.setdefault(route.interface, []).append(route)
        return {name: tuple(routes) for name, routes in found.items()}

    @cached_property
    def foreign_addresses_by_link(self) -> Mapping[str, tuple[Address, ...]]:
        """Addresses of other owners by the name of their link, each link's in order."""
        found: dict[str, list[Address]] = {}
        for address in sorted(self.foreign_addresses):
            found.setdefault(address.interface, []).append(address)
        return {name: tuple(addresses) for name, addresses in found.items()}
