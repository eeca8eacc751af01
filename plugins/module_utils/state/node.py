# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node: its managed objects, and everything else on it that matters to them."""

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

PROTOCOL_NAME = "homeward"  # of the protocol number, in the output of `ip`
# Links of kube-proxy and kube-router that have the addresses of all services in IPVS mode.
IPVS_LINKS = ("kube-ipvs0", "kube-dummy-if")
#: What makes MetalLB's speaker look at all links and all services again.
RESTART_SPEAKER = "kubectl -n metallb-system rollout restart daemonset/speaker"


@dataclass(frozen=True)
class Ownership:
    """The markers that managed objects carry.

    :param protocol: of routes, rules and addresses (``rtm_protocol``, ``FRA_PROTOCOL``, ``IFA_PROTO``), 5-255.
    :param alias: ``ifalias`` of links.
    :param chain_prefix: prefix of the names of chains.
    :param comment: of the jumps to managed chains. ``""`` by default: a jump is known by its target, and a comment costs
        every packet about 0.1 microseconds.
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
        """Whether there is no object at all; an empty set of chains does not count."""
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
    """One link of the node, managed or foreign.

    :param addresses: with prefix length, link-local and managed ones included.
    :param kind: ``IFLA_INFO_KIND`` (``veth``, ``bridge`` ...), ``""`` for hardware; ``vlan`` is one of 802.1Q only.
    :param parent: name of the lower link, ``""`` if there is none or it is outside this network namespace.
    :param managed: carries the alias of :class:`Ownership`.
    :param mode: of a macvlan or macvtap link (``MACVLAN_MODE_*``), else 0.
    :param altnames: further names that ``ip`` accepts.
    :param point_to_point: a tunnel, without a network of its own.
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
    mode: int = 0
    altnames: tuple[str, ...] = ()
    point_to_point: bool = False


@dataclass(frozen=True)
class KubeProxy:
    """What implements services on this node.

    :param mode: ``iptables``, ``nftables``, ``ipvs``, ``ebpf`` (a replacement of kube-proxy), or ``""`` if nothing was found.
    :param reason: the evidence.
    :param contradiction: evidence of another mode, ``""`` if there is none.
    """

    mode: str = ""
    reason: str = "no trace of kube-proxy was found"
    contradiction: str = ""


class RouteTo(NamedTuple):
    """The longest match for an address in the main table.

    :param network: the destination of the routes, ``""`` if there is none.
    :param interfaces: the links that they use, sorted.
    """

    network: str = ""
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """The current state of a node.

    :param managed: the objects that carry the markers of :class:`Ownership`.
    :param interfaces: all links, by name.
    :param not_forwarding: family and name of the links that do not forward packets; ``all`` and ``default`` are the sysctls'.
    :param speaker_links: names of the links on which a speaker of MetalLB listens; none if the node has no speaker.
    :param foreign_routes: of every table but ``local`` (255), the selected ones (:class:`RouteSelection`).
    :param foreign_rules: the three of the kernel included.
    :param foreign_addresses: those of a pool's link decide whether it is shared.
    :param sysctls: current value of every setting that the desired state may have; missing settings are left out.
    :param originals: value that each managed setting had before the first change.
    :param variant: ``nft`` or ``legacy``: the iptables that kube-proxy or the network plugin uses.
    :param default_variant: what plain ``iptables`` is.
    :param iptables_incompatible: family and table of what iptables cannot print, because nft added rules to it.
    :param iptables_hidden: family and table of those that have managed chains, so ``managed`` lacks chains of that family.
    :param iptables_families: those whose chains can be read and written.
    :param iptables_problem: why chains can neither be read nor written: the node has no iptables; ``""`` otherwise.
    :param iptables_left: managed chains that the kernel has without a program that could remove them.
    :param accepting_chains: chains of a network plugin in ``mangle`` that accept packets of established connections, which
        later rules never see.
    :param source_filters: of iptables-legacy by family: table and line of each foreign rule of the tables that check sources.
    :param services: names of the active systemd units.
    :param ssh_peer: address of the client of the SSH connection that this process runs in; ``""`` if there is none.
    :param ssh_interface: name of the link which that connection uses.
    :param dns_servers: addresses of the DNS servers in resolv.conf.
    :param api_servers: addresses of the Kubernetes API servers in the configuration of the kubelet.
    """

    managed: NodeState = field(default_factory=NodeState)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    not_forwarding: frozenset[tuple[str, str]] = frozenset()
    speaker_links: frozenset[str] = frozenset()
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
    iptables_problem: str = ""
    iptables_left: tuple[str, ...] = ()
    kube_proxy: KubeProxy = field(default_factory=KubeProxy)
    accepting_chains: frozenset[str] = frozenset()
    source_filters: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    ssh_peer: str = ""
    ssh_interface: str = ""
    api_servers: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()

    @cached_property
    def default_routes(self) -> tuple[Route, ...]:
        """Foreign default routes of the main table, lowest metric first."""
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
        """Foreign routes by the name of their link, sorted."""
        found: dict[str, list[Route]] = {}
        for route in sorted(self.foreign_routes):
            found.setdefault(route.interface, []).append(route)
        return {name: tuple(routes) for name, routes in found.items()}

    @cached_property
    def foreign_addresses_by_link(self) -> Mapping[str, tuple[Address, ...]]:
        """Foreign addresses by the name of their link, sorted."""
        found: dict[str, list[Address]] = {}
        for address in sorted(self.foreign_addresses):
            found.setdefault(address.interface, []).append(address)
        return {name: tuple(addresses) for name, addresses in found.items()}
