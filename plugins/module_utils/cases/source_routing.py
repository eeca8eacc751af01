# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 3: requests arrive through another gateway than the node's default one, so replies must return to it.

IPVS restores the source of a reply before it is routed, so a rule on the source works. With every other proxy the source
is still the pod's at that moment, and only the mark recipe routes the reply.
"""

from __future__ import annotations

from ..state import NodeState, Rule
from ..state.family import family_of
from ..state.route import MAIN_TABLE
from .context import Context
from .links import link_and_addresses, no_router_advertisements, pool_guard_rules, reverse_path_filter, strict_arp
from .model import CompiledGroup, Group
from .recipe import EXCEPTION, FROM_POOL, connmark_rules, mark_recipe, table_routes


def compile_group(group: Group, context: Context) -> CompiledGroup:
    """Return the routing of replies; nothing is filtered but the sources that the pools deny."""
    common = (link_and_addresses(group, context), no_router_advertisements(group))
    guard_rules = pool_guard_rules(group)
    if context.kube_proxy_mode == "ipvs":
        routing = NodeState(routes=table_routes(group), rules=_source_rules(group, context))
        return CompiledGroup(NodeState.union((*common, routing, strict_arp(context))), guard_rules=guard_rules)
    filtering, warnings = reverse_path_filter(group, context)
    state = NodeState.union((*common, filtering, mark_recipe(group, context)))
    return CompiledGroup(state, connmark_rules(group), guard_rules, warnings)


def _source_rules(group: Group, context: Context) -> frozenset[Rule]:
    """Return the ``from`` rules, and before them an exception for pod networks, whose routes are in the main table."""
    base = context.declaration.settings.priority_base
    rules = set()
    for family in group.families:
        for network in group.networks(family):
            rules.add(Rule(family, base + FROM_POOL, table=group.table, source=network))
            for pods in context.declaration.cluster.pod_networks:
                if family_of(pods) == family:
                    rules.add(Rule(family, base + EXCEPTION, table=MAIN_TABLE, source=network, destination=pods))
    return frozenset(rules)
