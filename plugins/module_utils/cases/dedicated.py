# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a link is dedicated, that is, carries nothing but pools, or shared with other traffic of the node."""

from __future__ import annotations

from ..state.family import IPV6, covering, family_of
from ..state.route_selection import belongs_to_link
from .context import Context
from .links import BRIDGE_NF_OF_VLANS
from .vital import is_link_local

_IPVLAN_KINDS = ("ipvlan", "ipvtap")


def sharing(interface: str, context: Context) -> tuple[bool, str]:
    """Return whether the link carries other traffic of the node, and a clause for the user that says why.

    The option ``dedicated`` decides where it is declared. Otherwise a link is dedicated only if this collection makes it, or
    if nothing on the node suggests another use.
    """
    pools = context.declaration.pools_by_interface[interface]
    declared = next((pool.dedicated for pool in pools if pool.dedicated is not None), None)
    if declared is not None:
        return not declared, "declared"
    evidence = shared_reason(interface, context)
    if evidence:
        may_be_declared = not vital_reason(interface, context)
        return True, f"{evidence}; if it carries only pools, declare dedicated: true" if may_be_declared else evidence
    link = context.node.interfaces.get(interface)
    found = (
        "made for the pools" if link is None or link.managed else "no addresses, routes or ports of other uses found"
    )
    return False, f"{found}; if it carries anything else, declare dedicated: false"


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
    structure = (
        vital_reason(interface, context) or _bridging_reason(interface, context) or _upper_reason(interface, context)
    )
    if structure:
        return structure
    networks = [network for pool in pools for network in pool.networks]
    addresses = _other_addresses(interface, context)
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


def _upper_reason(interface: str, context: Context) -> str:
    """Return that guests use the link's own MAC address, or ``""``.

    In mode ``l3s``, PREROUTING sees the packets of ipvlan links on the lower link (ipvlan_l3s.c). Those of VLAN and macvlan
    links it does not.
    """
    names = (other.name for other in context.node.interfaces.values() if other.parent == interface)
    name = min((name for name in names if context.node.interfaces[name].kind in _IPVLAN_KINDS), default="")
    return f"the {context.node.interfaces[name].kind} link {name} uses it" if name else ""


def _other_addresses(interface: str, context: Context) -> tuple[str, ...]:
    """Return the foreign addresses on the link that no pool declares, except those that every IPv6 link has.

    Only the node's administrator or another program adds an address to a link that this collection has not made.
    On one that it has made, the pools' networks pass the guard anyway, and a DHCP client that was too fast may leave an IPv4
    address of 169.254.0.0/16.
    """
    pools = context.declaration.pools_by_interface.get(interface, ())
    managed = context.node.interfaces[interface].managed
    # Before Linux 5.18 addresses have no protocol, so the pools' own ones look foreign.
    usual = {address for pool in pools for address in pool.addresses}
    inside = [network for pool in pools for network in pool.networks] if managed else []
    own = (item.address for item in context.node.foreign_addresses_by_link.get(interface, ()))
    return tuple(
        sorted(
            address
            for address in own
            if not (is_link_local(address) and (managed or family_of(address) == IPV6))
            and address.partition("/")[0] not in usual
            and not covering(inside, address.partition("/")[0])
        )
    )
