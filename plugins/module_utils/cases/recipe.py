# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark recipe: connections remember the gateway they came through, and replies follow it.

Under DNAT the route of a reply is chosen while its source is still the pod's, so no rule on addresses can match; the
connection's mark can. Every packet that carries no mark of ours skips all our rules by one ``goto``.
"""

from __future__ import annotations

from ..declaration.model import Declaration
from ..state import NodeState, Route, Rule
from ..state.family import IPV4, everything, family_of, full_length
from ..state.route import LAST_METRIC, MAIN_TABLE
from .model import Group, Marking

# Offsets from priority_base. Rules on addresses come first: they are for packets without a mark.
EXCEPTION, FROM_POOL, UNMARKED, NO_LOOP, REQUESTS, REPLIES, END = 100, 200, 500, 600, 700, 800, 999


def table_routes(group: Group) -> frozenset[Route]:
    """Return the table that leads home: the pools on the link, the rest through the gateway, and never anywhere else."""
    routes = set()
    for family in group.families:
        for network in group.attached_networks(family):
            routes.add(Route(family, group.table, network, interface=group.interface))
        gateway = group.gateway(family)
        if gateway:
            routes.add(Route(family, group.table, everything(family), gateway=gateway, interface=group.interface))
        # An emptied table (link down) must not let replies fall through to the node's default route.
        routes.add(Route(family, group.table, everything(family), metric=LAST_METRIC, type="unreachable"))
    return frozenset(routes)


def mark_rules(group: Group, declaration: Declaration) -> frozenset[Rule]:
    """Return the rules for packets of the group's marks."""
    base, mask = declaration.settings.priority_base, declaration.settings.mark_mask
    rules = set()
    for family in group.families:
        rules.add(Rule(family, base + UNMARKED, action="goto", goto=base + END, fwmark=0, fwmask=mask))
        rules.add(Rule(family, base + END, action="nop"))
        for mark in dict.fromkeys((group.mark, group.request_mark or group.mark)):
            rules.add(Rule(family, base + REPLIES, table=group.table, fwmark=mark, fwmask=mask))
        rules |= (
            _shared_rules(group, family, declaration) if group.shared else _dedicated_rules(group, family, declaration)
        )
    return frozenset(rules)


def _dedicated_rules(group: Group, family: str, declaration: Declaration) -> set[Rule]:
    """Return the rules for what comes in by an interface that carries nothing but requests."""
    settings, iif = declaration.settings, group.interface
    base, mask = settings.priority_base, settings.mark_mask
    rules = {Rule(family, base + REQUESTS, table=MAIN_TABLE, iif=iif, fwmark=group.mark, fwmask=mask)}
    for network in group.destinations(family):
        # What arrives for the pool and is still for the pool after DNAT is for no service: it must not loop.
        to_pool = Rule(
            family, base + NO_LOOP, "blackhole", destination=network, iif=iif, fwmark=group.mark, fwmask=mask
        )
        rules.add(to_pool)
    return rules


def _shared_rules(group: Group, family: str, declaration: Declaration) -> set[Rule]:
    """Return the rules for what comes in by an interface that other nodes' replies come in by as well.

    The second kind is for strict filtering with ``all.src_valid_mark``: the kernel checks the source of a reply as if it
    went from the gateway's interface back to the endpoint, a pod or another node's own address.
    """
    settings, iif = declaration.settings, group.interface
    base, mask = settings.priority_base, settings.mark_mask
    rules = {Rule(family, base + REQUESTS, table=MAIN_TABLE, iif=iif, fwmark=group.request_mark, fwmask=mask)}
    nodes = (f"{address}/{full_length(family_of(address))}" for address in declaration.cluster.node_addresses)
    for endpoints in (*declaration.cluster.pod_networks, *nodes):
        if family_of(endpoints) == family:
            to_endpoints = Rule(
                family,
                base + REQUESTS,
                table=MAIN_TABLE,
                iif=iif,
                destination=endpoints,
                fwmark=group.mark,
                fwmask=mask,
            )
            rules.add(to_endpoints)
    return rules


def markings(group: Group) -> tuple[Marking, ...]:
    """Return which connections get the group's mark."""
    return tuple(
        Marking(family, group.interface, group.destinations(family), group.mark, group.request_mark)
        for family in group.families
    )


def mark_recipe(group: Group, declaration: Declaration) -> NodeState:
    """Return routes and rules of the group; the chains are made of all groups' markings together."""
    return NodeState(routes=table_routes(group) | routes_to_askers(group), rules=mark_rules(group, declaration))


def routes_to_askers(group: Group) -> frozenset[Route]:
    """Return the main table's route to the gateway, where nodes have addresses of their own on the link.

    The kernel checks the source of an ARP request as it checks any other, but a request carries no mark. Without this
    route the gateway would be left without an answer when it asks for such an address.
    """
    gateway = group.gateway(IPV4)
    has_own = any(family_of(address) == IPV4 for pool in group.pools for address in pool.addresses)
    if not gateway or not has_own or group.shared:
        return frozenset()
    return frozenset({Route(IPV4, MAIN_TABLE, f"{gateway}/{full_length(IPV4)}", interface=group.interface)})
