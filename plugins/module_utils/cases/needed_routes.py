# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which foreign routes compiling and planning look at: every use of ``Node.foreign_routes`` must be covered here.

- Default routes: the case of a pool, vital gateways, families without one (all of them are always read).
- The longest match of nodes, servers and vital addresses, and on-link networks around pools: ``around``.
- Routes over a pool's link that are not the link's own: whether it is shared (``links``).
- Routes over a link with ``node_services`` by other gateways than the pool's, which need exceptions (``whole_links``).
- Links over which pods are reached: whether they forward (``endpoints``).
- Routes in a group's table: whether it is in use (some of each table are always read).
- Routes with the destination of a desired one.
"""

from __future__ import annotations

from ..declaration.model import Declaration
from ..state.route_selection import RouteSelection


def needed_routes(declaration: Declaration) -> RouteSelection:
    """Return the foreign routes that the declaration depends on; the reader adds those to the node's own addresses and servers."""
    cluster = declaration.cluster
    around = {*cluster.node_addresses, *cluster.api_servers}
    for pool in declaration.pools:
        around |= {*pool.networks, *pool.onlink_networks, *pool.gateways, *pool.addresses}
    links = {
        interface: tuple(network for pool in pools for network in (*pool.networks, *pool.onlink_networks))
        for interface, pools in declaration.pools_by_interface.items()
    }
    whole_links = {
        interface: frozenset(gateway for pool in pools if pool.node_services for gateway in pool.gateways)
        for interface, pools in declaration.pools_by_interface.items()
        if any(pool.node_services for pool in pools)
    }
    return RouteSelection(
        frozenset(around), links=links, whole_links=whole_links, endpoints=frozenset(cluster.pod_networks)
    )
