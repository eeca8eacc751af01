# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every case does with the pools' interface: the link, the pool's own addresses, strict ARP, reverse-path filtering."""

from __future__ import annotations

from collections.abc import Iterable

from ..declaration.model import Declaration, Pool
from ..state import Address, Link, Node, NodeState, Sysctl
from ..state.family import IPV4, IPV6, family_of, full_length
from .model import Group, Guarding

ARP_IGNORE = "net/ipv4/conf/all/arp_ignore"
ARP_ANNOUNCE = "net/ipv4/conf/all/arp_announce"
ALL_RP_FILTER = "net/ipv4/conf/all/rp_filter"
RP_FILTER_VALUES = {"off": "0", "strict": "1", "loose": "2"}


def rp_filter_name(interface: str) -> str:
    """Return the setting that says how an interface's sources are checked (RFC 3704)."""
    return f"net/ipv4/conf/{interface}/rp_filter"


def src_valid_mark_name(interface: str) -> str:
    """Return the setting that lets that check take the packet's mark into account."""
    return f"net/ipv4/conf/{interface}/src_valid_mark"


def accept_ra_name(interface: str) -> str:
    """Return the setting that decides whether router advertisements may add routes and addresses."""
    return f"net/ipv6/conf/{interface}/accept_ra"


def disable_ipv6_name(interface: str) -> str:
    """Return the setting that switches IPv6 off on an interface; that of ``default`` counts for one that is yet to come."""
    return f"net/ipv6/conf/{interface}/disable_ipv6"


def settings_to_read(declaration: Declaration) -> tuple[str, ...]:
    """Return every setting whose value decides, or may be changed by, what the declaration compiles to."""
    names = [ARP_IGNORE, ARP_ANNOUNCE, disable_ipv6_name("default"), ALL_RP_FILTER]
    for interface in sorted({pool.interface for pool in declaration.pools}):
        names += [
            name_of(interface) for name_of in (rp_filter_name, src_valid_mark_name, accept_ra_name, disable_ipv6_name)
        ]
    return tuple(names)


def link_and_addresses(pools: Iterable[Pool], node: Node) -> NodeState:
    """Return the VLAN links that the pools declare and their per-node addresses; a link somebody else made stays theirs."""
    links = set()
    addresses = set()
    for pool in pools:
        existing = node.interfaces.get(pool.interface)
        if pool.vlan and (existing is None or existing.managed):
            links.add(Link(pool.interface, "vlan", pool.vlan.parent, pool.vlan.id, pool.vlan.mtu))
        for address in pool.addresses:
            addresses.add(Address(pool.interface, f"{address}/{full_length(family_of(address))}"))
    return NodeState(links=frozenset(links), addresses=frozenset(addresses))


def pool_guardings(pool: Pool) -> tuple[Guarding, ...]:
    """Return the pool's networks as destinations that must pass where another pool has its interface guarded."""
    by_family: dict[str, list[str]] = {}
    for network in pool.networks:
        by_family.setdefault(family_of(network), []).append(network)
    return tuple(Guarding(family, pool.interface, tuple(networks)) for family, networks in by_family.items())


def strict_arp(mode: str, node: Node) -> NodeState:
    """Return strict ARP for IPVS, whose service addresses sit on every node; the other modes need none.

    Where it is set already it is somebody else's, kube-proxy's (``strictARP``) most likely: then it is not ours to take
    back, and not ours to set at boot, when there are no such addresses before kube-proxy has started.
    """
    if mode != "ipvs":
        return NodeState()
    wanted = (Sysctl(ARP_IGNORE, "1"), Sysctl(ARP_ANNOUNCE, "2"))
    ours = (item for item in wanted if item.name in node.originals or node.sysctls.get(item.name) != item.value)
    return NodeState(sysctls=frozenset(ours))


def no_router_advertisements(group: Group) -> NodeState:
    """Return the setting that keeps a dedicated link's routers from adding a default route to the node."""
    if group.shared or IPV6 not in group.families:
        return NodeState()
    return NodeState(sysctls=frozenset({Sysctl(accept_ra_name(group.interface), "0")}))


def reverse_path_filter(group: Group, node: Node) -> tuple[NodeState, tuple[str, ...]]:
    """Return the settings with which a marked request passes the source check, and warnings that tell the truth of them.

    The kernel uses the larger of ``all`` and the interface's value (Documentation/networking/ip-sysctl.rst). With
    ``src_valid_mark`` the check asks the marked table, where the client is behind the pool's gateway: strict passes.
    """
    if IPV4 not in group.families:
        return NodeState(), ()
    declared = group.pools[0].rp_filter
    present = node.sysctls.get(rp_filter_name(group.interface), "0")
    overall = node.sysctls.get(ALL_RP_FILTER, "0")
    wanted = RP_FILTER_VALUES.get(declared, "1" if declared == "auto" and not group.shared else "")
    sysctls = {Sysctl(rp_filter_name(group.interface), wanted)} if wanted else set()
    if declared != "leave":
        sysctls.add(Sysctl(src_valid_mark_name(group.interface), "1"))
    return NodeState(sysctls=frozenset(sysctls)), _warnings(group, declared, wanted or present, overall, node)


def _warnings(group: Group, declared: str, value: str, overall: str, node: Node) -> tuple[str, ...]:
    name = group.interface
    text = _warning(name, declared, value, overall, node)
    return (f"{group.pools[0].path}.rp_filter: {text}",) if text else ()


def _warning(name: str, declared: str, value: str, overall: str, node: Node) -> str:
    """Return what the declared filtering really does on the interface, where that is not what one would think."""
    effective = max(value, overall)
    if declared == "leave" and effective != "0" and node.sysctls.get(src_valid_mark_name(name), "0") == "0":
        return (
            f"leave keeps filtering at {effective} without src_valid_mark on {name}:"
            " requests from outside clients will be dropped. Use auto."
        )
    if declared == "off" and overall != "0":
        return (
            f"off has no effect on {name}: the kernel takes the larger of {name} (0) and all ({overall}), and all is not ours"
            " to lower. src_valid_mark lets requests pass all the same."
        )
    if declared == "off":
        return f"off lets forged sources in on {name}; auto lets the same requests pass and keeps the check."
    if declared == "loose" and not _has_ipv4(node, name):
        return f"loose drops exactly like strict on {name}, which has no IPv4 address; the mark lets requests pass."
    return ""


def _has_ipv4(node: Node, name: str) -> bool:
    interface = node.interfaces.get(name)
    return bool(interface and any(family_of(address) == IPV4 for address in interface.addresses))
