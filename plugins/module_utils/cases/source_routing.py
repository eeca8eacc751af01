# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 3: requests come through another gateway than the node's default one, so replies must go back there.

IPVS gives a reply its source before it is routed, so a rule on the source does. Everywhere else the source is still the
pod's at that moment, and the mark recipe is what makes the article's intention true.
"""

from __future__ import annotations

from dataclasses import replace

from ..declaration.model import Declaration
from ..state import Node, NodeState, Rule
from ..state.family import family_of
from ..state.route import MAIN_TABLE
from .links import link_and_addresses, no_router_advertisements, pool_guardings, reverse_path_filter, strict_arp
from .model import Group, Guarding, Needs
from .recipe import EXCEPTION, FROM_POOL, mark_recipe, markings, table_routes


def compile_group(group: Group, declaration: Declaration, node: Node, mode: str) -> Needs:
    """Return what sends replies home; nothing is filtered but the sources that the pools deny."""
    link = link_and_addresses(group.pools, node)
    quiet = no_router_advertisements(group)
    guardings = _guardings(group)
    if mode == "ipvs":
        routed = NodeState(routes=table_routes(group), rules=_source_rules(group, declaration))
        return Needs(NodeState.union((link, quiet, routed, strict_arp(mode, node))), guardings=guardings)
    filtering, warnings = reverse_path_filter(group, node)
    state = NodeState.union((link, quiet, filtering, mark_recipe(group, declaration)))
    return Needs(state, markings(group), guardings, warnings)


def _source_rules(group: Group, declaration: Declaration) -> frozenset[Rule]:
    """Return the ``from`` rules, behind an exception for the pod networks, whose routes are in the main table."""
    base = declaration.settings.priority_base
    rules = set()
    for family in group.families:
        for network in group.networks(family):
            rules.add(Rule(family, base + FROM_POOL, table=group.table, source=network))
            for pods in declaration.cluster.pod_networks:
                if family_of(pods) == family:
                    rules.add(Rule(family, base + EXCEPTION, table=MAIN_TABLE, source=network, destination=pods))
    return frozenset(rules)


def _guardings(group: Group) -> tuple[Guarding, ...]:
    """Return the pools' own refusals; a pool without any is named all the same, for what else is on its interface."""
    return tuple(
        replace(item, deny=_of(pool.deny, item.family)) for pool in group.pools for item in pool_guardings(pool)
    )


def _of(networks: tuple[str, ...], family: str) -> tuple[str, ...]:
    return tuple(network for network in networks if family_of(network) == family)
