# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of the node that no pool may divert, as questions to the kernel."""

from __future__ import annotations

from collections.abc import Mapping

from ..state.family import covering, family_of
from ..state.route import MAIN_TABLE
from ..state.route_lookup import OUTSIDE, RouteQuestion
from .context import Context


def unaffected_packets(context: Context) -> Mapping[RouteQuestion, str]:
    """Return questions about the node's own packets to hosts that it needs, and to hosts that no pool knows, each described.

    The refusals know why a pool would divert such packets. This is for the reasons that they do not know.
    """
    cluster, node = context.declaration.cluster, context.node
    needed = {vital.address: vital.description for vital in context.vital_peers}
    gateways = {route.gateway: "a default gateway" for route in node.default_routes if route.gateway}
    nodes = dict.fromkeys(cluster.node_addresses, "a node of the cluster")
    outside = {address: "a host outside" for address in OUTSIDE if not _is_declared(address, context)}
    hosts = {**outside, **nodes, **gateways, **needed}
    return {
        RouteQuestion(family_of(address), address): description
        for address, description in hosts.items()
        if not _has_managed_route(address, context)
    }


def _is_declared(address: str, context: Context) -> bool:
    """Whether the address is in a network of a pool, so that a change may well route it elsewhere."""
    networks = (network for pool in context.declaration.pools for network in (*pool.networks, *pool.onlink_networks))
    own = (own for pool in context.declaration.pools for own in (*pool.addresses, *pool.gateways))
    return bool(covering((*networks, *own), address))


def _has_managed_route(address: str, context: Context) -> bool:
    """Whether the address is routed by an earlier declaration, which the change may revoke."""
    managed = context.node.managed
    networks = (route.destination for route in managed.routes if route.table == MAIN_TABLE)
    own = (item.address.partition("/")[0] for item in managed.addresses)
    return bool(covering((*networks, *own), address))
