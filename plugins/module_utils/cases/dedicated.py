# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a link is dedicated, that is, carries nothing but pools, or shared with other traffic of the node."""

from __future__ import annotations

from collections.abc import Iterable

from ..state.family import covering
from ..state.route_selection import belongs_to_link
from .context import Context
from .links import BRIDGE_NF_OF_VLANS
from .vital import is_link_local


def is_shared(interface: str, context: Context) -> bool:
    """Whether the link carries other traffic of the node; the option ``dedicated`` decides where it is declared."""
    pools = context.declaration.pools_by_interface[interface]
    declared = next((pool.dedicated for pool in pools if pool.dedicated is not None), None)
    return bool(shared_reason(interface, context)) if declared is None else not declared


def shared_reason(interface: str, context: Context) -> str:
    """Return the evidence that the link carries other traffic of the node, or ``""`` if there is none."""
    node = context.node
    pools = context.declaration.pools_by_interface.get(interface, ())
    attached = [network for pool in pools for network in pool.onlink_networks]
    server = next((one for one in context.servers if covering(attached, one.address)), None)
    if server:
        return f"{server.address}, {server.description}, is in a network on it"
    if interface not in node.interfaces:
        return ""
    vital = vital_reason(interface, context) or _bridging_reason(interface, context)
    if vital:
        return vital
    networks = [network for pool in pools for network in pool.networks]
    # Before Linux 5.18 addresses have no protocol, so the pools' own ones look foreign.
    declared = [address for pool in pools for address in pool.addresses]
    addresses = _other_addresses(interface, (*networks, *declared), context)
    if addresses:
        return f"the node has the address {addresses[0]} on it"
    onlink = (*networks, *attached)
    routes = [route for route in node.foreign_routes_by_link.get(interface, ()) if not belongs_to_link(route, onlink)]
    return f'the route "{routes[0]}" of the node uses it' if routes else ""


def vital_reason(interface: str, context: Context) -> str:
    """Return why the node would be cut off if the link dropped everything but the pools' traffic, or ``""``."""
    node = context.node
    if interface == node.ssh_interface:
        return f"this run's SSH connection from {node.ssh_peer} uses it"
    for route in node.default_routes:
        if route.interface == interface:
            return "a default route of the main table uses it"
        if route.type == "unicast" and not route.interface and not route.multipath:
            return "a default route of the main table refers to a nexthop object (nhid), which may use it"
    for vital in context.vital_peers:
        if interface in node.route_to(vital.address).interfaces:
            return f"{vital.address}, {vital.description}, is reached over it"
    return ""


def has_bridged_frames(interface: str, context: Context) -> bool:
    """Whether iptables may see frames on the link that the node only passes on from one port of a bridge to another.

    Where br_netfilter is loaded, such a frame arrives on the bridge for iptables, or on the VLAN link on it
    (``brnf_get_logical_dev``, net/bridge/br_netfilter_hooks.c), and PREROUTING cannot tell it from a packet for the node.
    """
    link = context.node.interfaces.get(interface)
    if link and link.kind == "vlan" and context.node.sysctls.get(BRIDGE_NF_OF_VLANS) == "1":
        link = context.node.interfaces.get(link.parent)
    return bool(link and link.kind == "bridge")


def _bridging_reason(interface: str, context: Context) -> str:
    """Return that the link is part of a bridge, a bond or a VRF, which may carry traffic of guests, or ``""``."""
    interfaces = context.node.interfaces
    link = interfaces[interface]
    if link.master:
        return f"it is a port of {link.master}"
    port = min((other.name for other in interfaces.values() if other.master == interface), default="")
    if port:
        return f"{port} is a port of it, so it may carry traffic of other hosts"
    return "it is a bridge, so it may carry traffic of other hosts" if link.kind == "bridge" else ""


def _other_addresses(interface: str, pools: Iterable[str], context: Context) -> tuple[str, ...]:
    """Return the foreign addresses on the link that are neither link-local nor inside the pools."""
    inside = tuple(pools)
    return tuple(
        sorted(
            own.address
            for own in context.node.foreign_addresses_by_link.get(interface, ())
            if not is_link_local(own.address) and not covering(inside, own.address.partition("/")[0])
        )
    )
