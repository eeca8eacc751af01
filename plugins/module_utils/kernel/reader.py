# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One read of everything that decides what to do on a node."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import replace

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import (
    files,
    iptables,
    surroundings,
    sysctls,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.addresses import Addresses, read_addresses
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import IptablesState
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.links import Links, read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import Netlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.routes import read_routes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.rules import read_rules
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Node,
    NodeState,
    Ownership,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import full_length

NETLINK_KINDS = frozenset({"links", "addresses", "routes", "rules"})


def read_node(
    ownership: Ownership,
    iptables_variant: str,
    settings: Iterable[str],
    paths: Iterable[str],
    kinds: Collection[str],
    pyroute2_path: str,
) -> Node:
    """Return what the node has.

    :param settings: names of sysctls whose value matters; those of ours are read besides.
    :param paths: files of ours that may be there.
    :param kinds: fields of :class:`NodeState` to read; the others stay empty.
    :raises NodeError: something cannot be read; says what and what to do.
    """
    node = Node()
    chains = IptablesState(iptables_variant, "")
    with ExitStack() as stack:
        if "chains" in kinds:
            chains = iptables.read(iptables_variant, ownership)
        if NETLINK_KINDS & set(kinds):
            netlink = stack.enter_context(Netlink(extra_directory=pyroute2_path))
            node = _read_netlink(netlink, ownership, kinds)
    peer, interface = surroundings.ssh_peer(node.interfaces)
    originals = sysctls.read_originals() if "sysctls" in kinds else {}
    values = sysctls.read({*settings, *originals})
    owned = replace(
        node.owned,
        chains=chains.chain_sets,
        sysctls=frozenset(Sysctl(name, values.get(name, "")) for name in originals),
        files=files.read(paths),
    )
    return replace(
        node,
        owned=owned,
        sysctls=values,
        originals={name: original.was for name, original in originals.items()},
        variant=chains.variant,
        iptables_families=chains.families,
        kube_proxy=surroundings.kube_proxy(node.interfaces, chains.signs),
        ssh_peer=peer,
        ssh_interface=interface,
        api_servers=surroundings.api_servers(),
    )


def _read_netlink(netlink: Netlink, ownership: Ownership, kinds: Collection[str]) -> Node:
    links = read_links(netlink, ownership)
    addresses = read_addresses(netlink, ownership, links.names)
    routes = read_routes(netlink, ownership, links.names) if "routes" in kinds else (frozenset(), frozenset())
    rules = read_rules(netlink, ownership) if "rules" in kinds else (frozenset(), frozenset())
    ours = addresses.owned or _on_our_links(addresses, links)
    owned = NodeState(
        links=links.owned if "links" in kinds else frozenset(),
        addresses=ours if "addresses" in kinds else frozenset(),
        routes=routes[0],
        rules=rules[0],
    )
    return Node(
        owned=owned,
        interfaces=addresses.on(links.interfaces),
        foreign_routes=routes[1],
        foreign_rules=rules[1],
        foreign_addresses=addresses.foreign - ours,
    )


def _on_our_links(addresses: Addresses, links: Links) -> frozenset[Address]:
    """Return single addresses on our own links where the kernel keeps no protocol number of an address (before 5.18)."""
    if addresses.carry_protocol:
        return frozenset()
    names = {link.name for link in links.owned}
    return frozenset(
        item
        for item in addresses.foreign
        if item.interface in names and item.address.endswith(f"/{full_length(item.family)}")
    )
