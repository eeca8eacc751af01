# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One read of everything that decides what to do on a node."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace

from ..state import Address, Node, NodeState, Ownership, Route, Sysctl
from ..state.family import full_length
from . import facts, files, sysctls, systemd
from .iptables import tables
from .iptables.tables import IptablesState
from .netlink.addresses import Addresses, read_addresses
from .netlink.links import Links, read_links
from .netlink.routes import read_routes
from .netlink.rtnetlink import Rtnetlink
from .netlink.rules import read_rules

NETLINK_KINDS = frozenset({"links", "addresses", "routes", "rules"})
ALL_KINDS = frozenset(part.name for part in fields(NodeState))


@dataclass(frozen=True)
class Scope:
    """What of the node a run may know and change.

    :param iptables_variant: ``auto``, ``nft`` or ``legacy``.
    :param sysctls: names of settings whose value matters; those of ours are read besides.
    :param files: paths of files of ours that may be there.
    :param units: names of systemd units of ours that may be there.
    :param places: routes whose places other owners may have taken: of theirs, only those to the same destinations are
        read; None for all.
    :param kinds: fields of :class:`NodeState` to read; the others stay empty, and so untouched.
    """

    ownership: Ownership = field(default_factory=Ownership)
    iptables_variant: str = "auto"
    sysctls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    kinds: frozenset[str] = ALL_KINDS
    places: frozenset[Route] | None = None


def read_node(scope: Scope, pyroute2_path: str) -> Node:
    """Return what the node has.

    :raises NodeError: something cannot be read; says what and what to do.
    """
    ownership, kinds = scope.ownership, scope.kinds
    node = Node()
    chains = IptablesState(scope.iptables_variant, "")
    with ExitStack() as stack:
        if "chains" in kinds:
            chains = tables.read(scope.iptables_variant, ownership)
        if NETLINK_KINDS & kinds:
            netlink = stack.enter_context(Rtnetlink(extra_directory=pyroute2_path))
            node = _read_netlink(netlink, scope)
    peer, interface = facts.ssh_peer(node.interfaces)
    originals = sysctls.read_originals() if "sysctls" in kinds else {}
    values = sysctls.read({*scope.sysctls, *originals})
    managed = replace(
        node.managed,
        chains=chains.chain_sets,
        sysctls=frozenset(Sysctl(name, values.get(name, "")) for name in originals),
        files=files.read(scope.files),
        units=systemd.read(scope.units),
    )
    return replace(
        node,
        managed=managed,
        sysctls=values,
        originals={name: original.was for name, original in originals.items()},
        variant=chains.variant,
        default_variant=chains.default_variant or chains.variant,
        iptables_incompatible=chains.incompatible,
        iptables_hidden=chains.hidden,
        iptables_families=chains.families,
        kube_proxy=facts.kube_proxy(node.interfaces, chains.signs),
        accepting_chains=chains.signs.accepting,
        services=systemd.active(),
        ssh_peer=peer,
        ssh_interface=interface,
        api_servers=facts.api_servers(),
    )


def _read_netlink(netlink: Rtnetlink, scope: Scope) -> Node:
    ownership, kinds = scope.ownership, scope.kinds
    links = read_links(netlink, ownership)
    addresses = read_addresses(netlink, ownership, links.names)
    routes = (
        read_routes(netlink, ownership, links.names, scope.places) if "routes" in kinds else (frozenset(), frozenset())
    )
    rules = read_rules(netlink, ownership) if "rules" in kinds else (frozenset(), frozenset())
    ours = addresses.managed or _on_our_links(addresses, links)
    managed = NodeState(
        links=links.managed if "links" in kinds else frozenset(),
        addresses=ours if "addresses" in kinds else frozenset(),
        routes=routes[0],
        rules=rules[0],
    )
    return Node(
        managed=managed,
        interfaces=addresses.on(links.interfaces),
        foreign_routes=routes[1],
        foreign_rules=rules[1],
        foreign_addresses=addresses.foreign - ours,
    )


def _on_our_links(addresses: Addresses, links: Links) -> frozenset[Address]:
    """Return single addresses on our own links where the kernel keeps no protocol number of an address (before 5.18)."""
    if addresses.carry_protocol:
        return frozenset()
    names = {link.name for link in links.managed}
    return frozenset(
        item
        for item in addresses.foreign
        if item.interface in names and item.address.endswith(f"/{full_length(item.family)}")
    )
