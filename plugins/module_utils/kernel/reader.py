# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One read of everything that decides what to do on a node."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..state import Address, Node, Ownership, Route, Sysctl
from ..state.family import full_length
from ..state.kinds import ADDRESS, CHAINS, FILE, KINDS, LINK, ROUTE, RULE, SYSCTL, UNIT, plurals
from ..state.node import IPVS_LINKS
from ..state.route_selection import RouteSelection, unread_gateways
from . import facts, files, sysctls, systemd
from .iptables import tables
from .iptables.tables import IptablesState
from .netlink.addresses import Addresses, read_addresses
from .netlink.links import Links, read_links
from .netlink.netconf import not_forwarding
from .netlink.present_routes import read_present
from .netlink.routes import read_routes
from .netlink.rtnetlink import Rtnetlink
from .netlink.rules import read_rules
from .speaker import speaker_links

ALL_KINDS = plurals(KINDS)


@dataclass(frozen=True)
class Scope:
    """What of a node a run may read and change.

    :param iptables_variant: ``auto``, ``nft`` or ``legacy``.
    :param sysctls: names of settings whose value matters; managed ones are read in addition.
    :param files: paths of files that may be managed.
    :param units: names of systemd units that may be managed.
    :param kinds: fields of :class:`NodeState` to read; the others stay empty, and so unchanged.
    :param routes: which foreign routes are read; None for all.
    :param present: if all of these managed routes are there, nothing else is read of large tables.
    :param tables: of iptables; on nodes with very many chains only these are read. None for all.
    :param facts: read what only the compilation of pools needs: kube-proxy's mode, for which that may be asked, and servers.
    :param forwarding: read which links do not forward packets, and on which MetalLB's speaker listens.
    """

    ownership: Ownership = field(default_factory=Ownership)
    iptables_variant: str = "auto"
    sysctls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    kinds: frozenset[str] = ALL_KINDS
    routes: RouteSelection | None = field(default_factory=RouteSelection)
    present: frozenset[Route] | None = None
    tables: tuple[str, ...] | None = None
    facts: bool = True
    forwarding: bool = False


class Sources:
    """What several readers need, each opened or read once, on first use."""

    def __init__(
        self, scope: Scope, pyroute2_path: str, stack: ExitStack, iptables: IptablesState | None = None
    ) -> None:
        self._iptables = iptables
        self.scope = scope
        self._pyroute2_path = pyroute2_path
        self._stack = stack

    @cached_property
    def netlink(self) -> Rtnetlink:
        """The socket, closed with the stack."""
        return self._stack.enter_context(Rtnetlink(extra_directory=self._pyroute2_path))

    @cached_property
    def links(self) -> Links:
        """All links."""
        return read_links(self.netlink, self.scope.ownership)

    @cached_property
    def addresses(self) -> Addresses:
        """All addresses."""
        return read_addresses(self.netlink, self.scope.ownership, self.links.names)

    @cached_property
    def iptables(self) -> IptablesState:
        """All chains; none where chains are out of the scope."""
        if CHAINS.plural not in self.scope.kinds:
            return IptablesState(self.scope.iptables_variant, "")
        return self._iptables or tables.read(self.scope.iptables_variant, self.scope.ownership, self.scope.tables)


def read_node(scope: Scope, pyroute2_path: str, iptables: IptablesState | None = None) -> Node:
    """Return the current state of the node.

    :param iptables: the chains, if they have been read already.
    :raises NodeError: something cannot be read; says what and what to do.
    """
    node = Node(api_servers=facts.api_servers(), dns_servers=facts.dns_servers()) if scope.facts else Node()
    with ExitStack() as stack:
        sources = Sources(scope, pyroute2_path, stack, iptables)
        for plural, read in READERS.items():
            if plural in scope.kinds:
                node = read(node, sources)
        cluster_chains = sources.iptables.cluster_chains
    if not scope.facts:
        return node
    return replace(node, kube_proxy=facts.kube_proxy(node.interfaces, cluster_chains))


def _chains(node: Node, sources: Sources) -> Node:
    found = sources.iptables
    return replace(
        node,
        managed=replace(node.managed, chains=found.chain_sets),
        variant=found.variant,
        default_variant=found.default_variant or found.variant,
        iptables_incompatible=found.incompatible,
        iptables_hidden=found.hidden,
        iptables_families=found.families,
        iptables_problem=found.problem,
        iptables_left=found.left,
        accepting_chains=found.cluster_chains.accepting,
        source_filters=found.source_filters,
    )


def _links(node: Node, sources: Sources) -> Node:
    interfaces = sources.addresses.on(sources.links.interfaces)
    peer, interface = facts.ssh_peer(interfaces)
    managed = replace(node.managed, links=sources.links.managed)
    listening = speaker_links(sources.links.names) if sources.scope.forwarding else frozenset[str]()
    return replace(
        node,
        managed=managed,
        interfaces=interfaces,
        services=systemd.active(),  # one of them may be a network manager
        ssh_peer=peer,
        ssh_interface=interface,
        speaker_links=listening,
    )


def _addresses(node: Node, sources: Sources) -> Node:
    managed = sources.addresses.managed or _on_managed_links(sources.addresses, sources.links)
    return replace(
        node,
        managed=replace(node.managed, addresses=managed),
        foreign_addresses=sources.addresses.foreign - managed,
    )


def _on_managed_links(addresses: Addresses, links: Links) -> frozenset[Address]:
    """Return single addresses on managed links if the kernel does not store the protocol of an address (before 5.18)."""
    if addresses.carry_protocol:
        return frozenset()
    names = {link.name for link in links.managed}
    return frozenset(
        item
        for item in addresses.foreign
        if item.interface in names and item.address.endswith(f"/{full_length(item.family)}")
    )


def _routes(node: Node, sources: Sources) -> Node:
    scope, names = sources.scope, sources.links.names
    if scope.present is not None:
        present = read_present(sources.netlink, scope.ownership, names, scope.present)
        if present is not None:
            return replace(node, managed=replace(node.managed, routes=present[0]), foreign_routes=present[1])
    selection = None if scope.routes is None else _with_vital(scope.routes, node)
    managed, foreign = read_routes(sources.netlink, scope.ownership, sources.links.names, selection)
    unread = unread_gateways(foreign, selection) if selection is not None and selection.links else frozenset()
    if selection is not None and unread:
        selection = selection.also(unread)
        managed, foreign = read_routes(sources.netlink, scope.ownership, sources.links.names, selection)
    return replace(node, managed=replace(node.managed, routes=managed), foreign_routes=foreign)


def _with_vital(selection: RouteSelection, node: Node) -> RouteSelection:
    """Return the same with what the node needs: routes to its own addresses and networks, its servers and its SSH peer."""
    if not selection.links:
        return selection
    own = [
        ipaddress.ip_interface(address)
        for name, interface in node.interfaces.items()
        if name not in IPVS_LINKS
        for address in interface.addresses
    ]
    addresses = {str(one.ip) for one in own if not one.is_link_local}
    peers = {node.ssh_peer} - {""}
    networks = {str(one.network) for one in own if not one.is_link_local}
    return selection.also({*addresses, *peers, *node.api_servers, *node.dns_servers}, networks)


def _rules(node: Node, sources: Sources) -> Node:
    managed, foreign = read_rules(sources.netlink, sources.scope.ownership)
    return replace(node, managed=replace(node.managed, rules=managed), foreign_rules=foreign)


def _sysctls(node: Node, sources: Sources) -> Node:
    originals = sysctls.read_originals()
    values = sysctls.read({*sources.scope.sysctls, *originals})
    return replace(
        node,
        managed=replace(node.managed, sysctls=frozenset(Sysctl(name, values.get(name, "")) for name in originals)),
        sysctls=values,
        originals={name: original.was for name, original in originals.items()},
        not_forwarding=(
            not_forwarding(sources.netlink, sources.links.names) if sources.scope.forwarding else frozenset()
        ),
    )


def _files(node: Node, sources: Sources) -> Node:
    return replace(node, managed=replace(node.managed, files=files.read(sources.scope.files)))


def _units(node: Node, sources: Sources) -> Node:
    return replace(node, managed=replace(node.managed, units=systemd.read(sources.scope.units)))


#: By field of :class:`NodeState`: returns the node as read so far, with all that the kind's reader finds. Links come before
#: routes, which are chosen by the addresses of the node.
READERS: Mapping[str, Callable[[Node, Sources], Node]] = {
    CHAINS.plural: _chains,
    LINK.plural: _links,
    ADDRESS.plural: _addresses,
    ROUTE.plural: _routes,
    RULE.plural: _rules,
    SYSCTL.plural: _sysctls,
    FILE.plural: _files,
    UNIT.plural: _units,
}
