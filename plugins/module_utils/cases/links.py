# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cases have in common: the link, per-node addresses, strict ARP, the reverse path filter, guard rules."""

from __future__ import annotations

from ..declaration.model import Declaration
from ..state import Address, Link, Node, NodeState, Sysctl
from ..state.family import FAMILIES, IPV4, IPV6, family_of, full_length
from .context import Context
from .model import Group, GuardRule

ARP_IGNORE = "net/ipv4/conf/all/arp_ignore"
ARP_ANNOUNCE = "net/ipv4/conf/all/arp_announce"
IPVS_CONNTRACK = "net/ipv4/vs/conntrack"
# These exist while br_netfilter is loaded, which passes bridged frames through iptables; the second one also those with a VLAN.
BRIDGE_NF = "net/bridge/bridge-nf-call-iptables"
BRIDGE_NF_OF_VLANS = "net/bridge/bridge-nf-pass-vlan-input-dev"
ALL_RP_FILTER = "net/ipv4/conf/all/rp_filter"
RP_FILTER_VALUES = {"off": "0", "strict": "1", "loose": "2"}


def rp_filter_name(interface: str) -> str:
    """Return the sysctl of the reverse path filter (RFC 3704) on an interface."""
    return f"net/ipv4/conf/{interface}/rp_filter"


def src_valid_mark_name(interface: str) -> str:
    """Return the sysctl that lets the reverse path filter take the packet's mark into account."""
    return f"net/ipv4/conf/{interface}/src_valid_mark"


def accept_ra_name(interface: str) -> str:
    """Return the sysctl that decides whether router advertisements may add routes and addresses."""
    return f"net/ipv6/conf/{interface}/accept_ra"


def disable_ipv6_name(interface: str) -> str:
    """Return the sysctl that disables IPv6 on an interface; new interfaces inherit the one of ``default``."""
    return f"net/ipv6/conf/{interface}/disable_ipv6"


def force_forwarding_name(interface: str) -> str:
    """Return the sysctl that lets an interface forward IPv6 packets although ``all`` does not (Linux 6.17)."""
    return f"net/ipv6/conf/{interface}/force_forwarding"


def settings_to_read(declaration: Declaration) -> tuple[str, ...]:
    """Return every sysctl that the declaration may compile to, or whose value decides what it compiles to."""
    names = [ARP_IGNORE, ARP_ANNOUNCE, IPVS_CONNTRACK, BRIDGE_NF, BRIDGE_NF_OF_VLANS, ALL_RP_FILTER]
    names.append(disable_ipv6_name("default"))
    for interface in sorted({pool.interface for pool in declaration.pools}):
        names += [
            name_of(interface)
            for name_of in (
                rp_filter_name,
                src_valid_mark_name,
                accept_ra_name,
                disable_ipv6_name,
                force_forwarding_name,
            )
        ]
    return tuple(names)


def link_and_addresses(group: Group, context: Context) -> NodeState:
    """Return the VLAN links that the pools declare, unless they exist and are foreign, and the per-node addresses."""
    links = set()
    addresses = set()
    for pool in group.pools:
        existing = context.node.interfaces.get(pool.interface)
        if pool.vlan and (existing is None or existing.managed):
            links.add(Link(pool.interface, "vlan", pool.vlan.parent, pool.vlan.id, pool.vlan.mtu))
        for address in pool.addresses:
            addresses.add(Address(pool.interface, f"{address}/{full_length(family_of(address))}"))
    return NodeState(links=frozenset(links), addresses=frozenset(addresses))


def pool_guard_rules(group: Group) -> tuple[GuardRule, ...]:
    """Return the pools' networks and the sources that they deny.

    Pools that deny nothing have rules too: their networks must pass where another pool has a guard on the same link.
    """
    return tuple(
        GuardRule(family, pool.interface, networks, _of_family(pool.deny, family))
        for pool in group.pools
        for family in FAMILIES
        for networks in (_of_family(pool.networks, family),)
        if networks
    )


def _of_family(networks: tuple[str, ...], family: str) -> tuple[str, ...]:
    return tuple(network for network in networks if family_of(network) == family)


def strict_arp(context: Context) -> NodeState:
    """Return strict ARP for IPVS, which has the service addresses on every node; the other proxies do not need it.

    Values that are set already are foreign, most likely set by kube-proxy (``strictARP``), so they are not managed: removal
    must not reset them, and at boot nothing needs them before kube-proxy has started.
    """
    if context.kube_proxy_mode != "ipvs":
        return NodeState()
    node = context.node
    desired = (Sysctl(ARP_IGNORE, "1"), Sysctl(ARP_ANNOUNCE, "2"))
    managed = (item for item in desired if item.name in node.originals or node.sysctls.get(item.name) != item.value)
    return NodeState(sysctls=frozenset(managed))


def no_router_advertisements(group: Group) -> NodeState:
    """Return the sysctl that keeps routers on a dedicated link from adding a default route to the node."""
    if group.shared or IPV6 not in group.families:
        return NodeState()
    return NodeState(sysctls=frozenset({Sysctl(accept_ra_name(group.interface), "0")}))


def reverse_path_filter(group: Group, context: Context) -> tuple[NodeState, tuple[str, ...]]:
    """Return the sysctls that let marked requests pass the reverse path filter, and warnings about their effect.

    The kernel uses the larger of the values of ``all`` and the interface (Documentation/networking/ip-sysctl.rst). With
    ``src_valid_mark`` it looks the source up in the table of the mark, where clients are behind the pool's gateway, so
    strict filtering passes them.
    """
    if IPV4 not in group.families:
        return NodeState(), ()
    declared = group.pools[0].rp_filter
    desired = RP_FILTER_VALUES.get(declared, "1" if declared == "auto" and not group.shared else "")
    current = context.node.sysctls.get(rp_filter_name(group.interface), "0")
    sysctls = {Sysctl(rp_filter_name(group.interface), desired)} if desired else set()
    if declared != "leave":
        sysctls.add(Sysctl(src_valid_mark_name(group.interface), "1"))
    warning = _rp_filter_warning(group.interface, declared, desired or current, context.node)
    return NodeState(sysctls=frozenset(sysctls)), (f"{group.path}.rp_filter: {warning}",) if warning else ()


def _rp_filter_warning(name: str, declared: str, value: str, node: Node) -> str:
    """Return what the declared value does on the interface if that is not what its name suggests, else ``""``."""
    overall = node.sysctls.get(ALL_RP_FILTER, "0")
    effective = max(value, overall)
    if declared == "leave" and effective != "0" and node.sysctls.get(src_valid_mark_name(name), "0") == "0":
        return (
            f"leave keeps rp_filter={effective} without src_valid_mark on {name}, so requests from outside clients are"
            " dropped. Use auto."
        )
    if declared == "off" and overall != "0":
        return (
            f"off has no effect on {name}: the kernel uses the larger of the values of {name} (0) and all ({overall}), and"
            " this collection does not change all. Requests still pass because of src_valid_mark."
        )
    if declared == "off":
        return f"off accepts packets with forged sources on {name}; auto accepts the same requests and drops forged packets."
    if declared == "loose" and not _has_ipv4(node, name):
        return f"loose drops the same packets as strict on {name}, which has no IPv4 address. Requests pass because of their mark."
    return ""


def _has_ipv4(node: Node, name: str) -> bool:
    interface = node.interfaces.get(name)
    return bool(interface and any(family_of(address) == IPV4 for address in interface.addresses))
