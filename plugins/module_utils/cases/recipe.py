# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark recipe: the connmark holds the gateway that a connection arrived through, and replies are routed by it.

Under DNAT the route of a reply is chosen while its source is still the pod's, so no rule on addresses can match, but one on
the connection's mark can. Everything else is routed as without the collection: packets without a managed mark skip all
managed rules by one ``goto``, requests skip those that follow, and packets to the cluster itself find a ``throw`` route.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..state import NodeState, Route, Rule
from ..state.family import IPV4, IPV6, collapse, covering, everything, family_of, full_length
from ..state.route import LAST_METRIC, MAIN_TABLE
from .context import Context
from .dedicated import has_bridged_frames
from .links import BRIDGE_NF
from .model import ConnmarkRule, Group

# Offsets from priority_base. Rules on addresses come first: they are for packets without a mark.
FROM_POOL, FORWARDED, BOUND, UNMARKED, SAME_LINK, REQUESTS, REPLIES, END = 200, 390, 400, 500, 690, 700, 800, 999

#: ``throw`` routes for ``node_services``, of one table and family. Large networks come first, with those of the link itself.
MOST_EXCEPTIONS = 1000


def table_routes(group: Group, context: Context) -> frozenset[Route]:
    """Return the routes of the group's table: its networks on the link, and everything else through the gateway.

    A lookup of the cluster's own addresses ends with the ``throw`` route and continues with the rule that follows. So
    requests to pods and nodes, and filters that look up the source of a reply with its mark, get the route that an unmarked
    packet has, at the cost of one lookup for any number of nodes.
    """
    routes = set()
    for family in group.families:
        onlink = group.onlink_networks(family)
        routes |= {Route(family, group.table, network, interface=group.interface) for network in onlink}
        others = context.cluster_networks[family]
        if group.node_services:  # its clients in these networks are not behind the pool's gateway
            reached = context.reached_over(group.interface, family, group.gateway(family))
            others = (*others, *reached[:MOST_EXCEPTIONS])
        routes |= {Route(family, group.table, network, type="throw") for network in others if network not in onlink}
        gateway = group.gateway(family)
        if gateway:
            routes.add(Route(family, group.table, everything(family), gateway=gateway, interface=group.interface))
        # The kernel removes the routes over the link when it goes down; replies must not be routed by the main table then.
        routes.add(Route(family, group.table, everything(family), metric=LAST_METRIC, type="unreachable"))
    return frozenset(routes)


def node_networks(group: Group, family: str, context: Context) -> tuple[str, ...]:
    """Return the node's own addresses on the link that are served as the pool's are, if the pools want that."""
    if not group.node_services:
        return ()
    return tuple(
        network
        for network in context.own_networks(group.interface, family)
        if not covering(group.destinations(family), network)
    )


def bound_rules(group: Group, context: Context) -> frozenset[Rule]:
    """Return the rules for sockets that are bound to the link.

    MetalLB answers neighbour solicitations from such a socket, and IPv6 finds no route to the solicitor on the link unless
    one leads over it (``ip6_route_output``).
    """
    base = context.declaration.settings.priority_base
    networks = group.onlink_networks(IPV6) if IPV6 in group.families else ()
    return frozenset(
        Rule(IPV6, base + BOUND, table=group.table, destination=network, oif=group.interface) for network in networks
    )


def mark_recipe(group: Group, context: Context) -> NodeState:
    """Return the routes and rules of the group; the chains are built from the rules of all groups together."""
    rules = frozenset(rule for family in group.families for rule in _mark_rules(group, family, context))
    return NodeState(
        routes=table_routes(group, context) | gateway_routes(group), rules=rules | bound_rules(group, context)
    )


def connmark_rules(group: Group, context: Context) -> tuple[ConnmarkRule, ...]:
    """Return which connections get the group's mark."""
    bridged = BRIDGE_NF in context.node.sysctls and has_bridged_frames(group.interface, context)
    return tuple(
        ConnmarkRule(
            family,
            group.interface,
            (*group.destinations(family), *node_networks(group, family, context)),
            group.mark,
            group.request_mark,
            bridged,
        )
        for family in group.families
    )


def gateway_routes(group: Group) -> frozenset[Route]:
    """Return the route to the gateway in the main table, where nodes have addresses of their own on the link.

    The kernel validates the source of ARP requests too, but they carry no mark. Without this route it would not answer the
    gateway's requests for such an address.
    """
    gateway = group.gateway(IPV4)
    has_own = any(family_of(address) == IPV4 for pool in group.pools for address in pool.addresses)
    if not gateway or not has_own or group.shared:
        return frozenset()
    return frozenset({Route(IPV4, MAIN_TABLE, f"{gateway}/{full_length(IPV4)}", interface=group.interface)})


def _mark_rules(group: Group, family: str, context: Context) -> Iterator[Rule]:
    """Yield the rules for packets with the group's marks."""
    base, mask = context.declaration.settings.priority_base, context.declaration.settings.mark_mask
    requests = group.request_mark or group.mark
    if family == IPV6 and context.has_many_ipv6_networks:
        # Packets that no socket of this node sent skip the rules for bound sockets, so the number of these costs them nothing.
        yield Rule(family, base + FORWARDED, action="goto", goto=base + UNMARKED, iif="lo", invert=True)
    yield Rule(family, base + UNMARKED, action="goto", goto=base + END, fwmark=0, fwmask=mask)
    # Strict source validation of a request that is routed back to its link: the kernel looks up the client as if a packet of
    # the endpoint arrived on this link (fib_validate_source).
    for network in _networks_on_link(group, family, context):
        selector = Rule(family, base + SAME_LINK, table=group.table, source=network, iif=group.interface)
        yield replace(selector, fwmark=requests, fwmask=mask)
    yield Rule(
        family, base + REQUESTS, action="goto", goto=base + END, iif=group.interface, fwmark=requests, fwmask=mask
    )
    for mark in dict.fromkeys((group.mark, requests)):
        yield Rule(family, base + REPLIES, table=group.table, fwmark=mark, fwmask=mask)
    # The end matches nothing but the highest mark: comparing it is cheaper than a match, and has the same effect.
    yield Rule(family, base + END, action="nop", fwmark=mask, fwmask=mask)


def _networks_on_link(group: Group, family: str, context: Context) -> tuple[str, ...]:
    """Return the destinations of requests that are, or may be, behind the group's link.

    These are pods and nodes if the link is shared, and addresses of the pool without a service, for which kube-proxy rejects
    the request in FORWARD. Nodes count by their network in the main table, so their number costs nothing. What is behind a
    default route over the link needs no rule, as the same route leads to clients. Where pods are not declared, only the nodes'
    addresses count: requests of other hosts must not match, because pods have no ``throw`` route then.
    """
    cluster = context.declaration.cluster
    pods = [network for network in cluster.pod_networks if family_of(network) == family]
    networks = set(pods) if group.shared else set()
    nodes = cluster.node_addresses if group.shared else ()
    for address in nodes:
        if family_of(address) == family:
            network = _network_over(group.interface, address, context)
            networks |= {network if pods else address} if network else set()
    if pods:
        networks |= {one for one in group.networks(family) if _network_over(group.interface, one, context)}
    return collapse(networks)


def _network_over(interface: str, destination: str, context: Context) -> str:
    """Return the network by which the main table leads to an address or network over a link; ``""`` if it does not so."""
    route = context.node.route_to(destination)
    return (
        route.network if interface in route.interfaces and route.network != everything(family_of(destination)) else ""
    )
