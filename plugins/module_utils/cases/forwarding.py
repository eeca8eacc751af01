# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warns of links that do not forward packets, although requests or replies arrive on them.

For IPv4 the kernel looks at the sysctl of the link that received the packet (``IN_DEV_FORWARD`` in net/ipv4/route.c), for
IPv6 at the one of ``all`` (net/ipv6/ip6_output.c).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..declaration.model import Pool
from ..state.family import IPV4, IPV6, covering, family_of
from ..state.route import MAIN_TABLE
from .context import Context
from .links import force_forwarding_name

_IP_FORWARD = "net/ipv4/ip_forward"


def not_forwarding(pool: Pool, context: Context) -> Iterator[str]:
    """Yield which settings keep the kernel from forwarding the pool's requests, and the replies of its endpoints."""
    node = context.node
    if not node.not_forwarding:
        return
    families = {family_of(network) for network in pool.networks}
    if IPV4 in families:
        yield from _ipv4(pool, context)
    forced = node.sysctls.get(force_forwarding_name(pool.interface), "0") == "1"
    if IPV6 in families and (IPV6, "all") in node.not_forwarding and not forced:
        yield _text(f"{pool.path}.networks", "net/ipv6/conf/all/forwarding", "IPv6 requests")


def _ipv4(pool: Pool, context: Context) -> Iterator[str]:
    off = {name for family, name in context.node.not_forwarding if family == IPV4}
    # A link that is to be created gets the value of default.
    name = pool.interface if pool.interface in context.node.interfaces else "default"
    if name in off and "all" in off:
        yield _text(f"{pool.path}.interface", _IP_FORWARD, "requests")
    elif name in off:
        yield _text(
            f"{pool.path}.interface", f"net/ipv4/conf/{name}/forwarding", f"requests that arrive on {pool.interface}"
        )
    if "all" not in off:
        for other in sorted(_links_of_endpoints(context) & off - {name}):
            setting = f"net/ipv4/conf/{other}/forwarding"
            yield _text(f"{pool.path}.interface", setting, f"replies of the endpoints behind {other}")


def _links_of_endpoints(context: Context) -> frozenset[str]:
    """Return the links over which pods and the other nodes are reached."""
    cluster, node = context.declaration.cluster, context.node
    links = {
        route.interface
        for route in node.foreign_routes
        if route.table == MAIN_TABLE and route.interface and covering(cluster.pod_networks, route.destination)
    }
    for address in cluster.node_addresses:
        if address not in context.own_addresses and family_of(address) == IPV4:
            links.update(node.route_to(address).interfaces)
    return frozenset(links)


def _text(path: str, setting: str, what: str) -> str:
    return (
        f"{path}: {setting} is 0, so the kernel does not forward {what}. Set it to 1 (sysctl -w {setting}=1), also where it is"
        " set at boot."
    )
