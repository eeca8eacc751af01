# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark recipe: the connmark holds the gateway that a connection arrived through, and replies are routed by it.

Under DNAT the route of a reply is chosen while its source is still the pod's, so no rule on addresses can match, but one on
the connection's mark can. Packets without a managed mark skip all managed rules by one ``goto``.
"""

from __future__ import annotations

from dataclasses import replace

from ..state import NodeState, Route, Rule
from ..state.family import IPV4, everything, family_of, full_length
from ..state.route import LAST_METRIC, MAIN_TABLE
from .context import Context
from .model import ConnmarkRule, Group

# Offsets from priority_base. Rules on addresses come first: they are for packets without a mark.
EXCEPTION, FROM_POOL, UNMARKED, NO_LOOP, REQUESTS, REPLIES, END = 100, 200, 500, 600, 700, 800, 999


def table_routes(group: Group) -> frozenset[Route]:
    """Return the routes of the group's table: its networks on the link, and everything else through the gateway."""
    routes = set()
    for family in group.families:
        for network in group.onlink_networks(family):
            routes.add(Route(family, group.table, network, interface=group.interface))
        gateway = group.gateway(family)
        if gateway:
            routes.add(Route(family, group.table, everything(family), gateway=gateway, interface=group.interface))
        # The kernel removes the other routes when the link goes down; replies must not be routed by the main table then.
        routes.add(Route(family, group.table, everything(family), metric=LAST_METRIC, type="unreachable"))
    return frozenset(routes)


def mark_recipe(group: Group, context: Context) -> NodeState:
    """Return the routes and rules of the group; the chains are built from the rules of all groups together."""
    return NodeState(routes=table_routes(group) | gateway_routes(group), rules=_mark_rules(group, context))


def connmark_rules(group: Group) -> tuple[ConnmarkRule, ...]:
    """Return which connections get the group's mark."""
    return tuple(
        ConnmarkRule(family, group.interface, group.destinations(family), group.mark, group.request_mark)
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


def _mark_rules(group: Group, context: Context) -> frozenset[Rule]:
    """Return the rules for packets with the group's marks."""
    settings = context.declaration.settings
    base, mask = settings.priority_base, settings.mark_mask
    rules = set()
    for family in group.families:
        rules.add(Rule(family, base + UNMARKED, action="goto", goto=base + END, fwmark=0, fwmask=mask))
        rules.add(Rule(family, base + END, action="nop"))
        for mark in dict.fromkeys((group.mark, group.request_mark or group.mark)):
            rules.add(Rule(family, base + REPLIES, table=group.table, fwmark=mark, fwmask=mask))
        rules |= _shared_rules(group, family, context) if group.shared else _dedicated_rules(group, family, context)
    return frozenset(rules)


def _dedicated_rules(group: Group, family: str, context: Context) -> set[Rule]:
    """Return the rules for packets that arrive on a link that carries nothing but requests."""
    settings, iif = context.declaration.settings, group.interface
    base, mask = settings.priority_base, settings.mark_mask
    # A packet whose destination is still in the pool after DNAT matches no service, and would loop.
    no_loop = (
        Rule(family, base + NO_LOOP, "blackhole", destination=network, iif=iif, fwmark=group.mark, fwmask=mask)
        for network in group.destinations(family)
    )
    return {Rule(family, base + REQUESTS, table=MAIN_TABLE, iif=iif, fwmark=group.mark, fwmask=mask), *no_loop}


def _shared_rules(group: Group, family: str, context: Context) -> set[Rule]:
    """Return the rules for packets that arrive on a link on which replies from other nodes arrive too.

    The rules with a destination are for strict source validation with ``all.src_valid_mark``: the kernel looks up the
    source of a reply as if a packet went from the gateway's link back to the endpoint, a pod or another node's own address.
    """
    settings, cluster = context.declaration.settings, context.declaration.cluster
    requests = Rule(
        family,
        settings.priority_base + REQUESTS,
        table=MAIN_TABLE,
        iif=group.interface,
        fwmark=group.request_mark,
        fwmask=settings.mark_mask,
    )
    nodes = (f"{address}/{full_length(family_of(address))}" for address in cluster.node_addresses)
    endpoints = (network for network in (*cluster.pod_networks, *nodes) if family_of(network) == family)
    return {requests, *(replace(requests, fwmark=group.mark, destination=network) for network in endpoints)}
