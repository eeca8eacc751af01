# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 3: requests arrive through another gateway than the node's default one, so replies must return to it.

IPVS restores the source of a reply before it is routed, so a rule on the source works. With every other proxy the source
is still the pod's at that moment, and only the mark recipe routes the reply.
"""

from __future__ import annotations

from ..state import NodeState, Rule
from .context import Context
from .links import link_and_addresses, no_router_advertisements, pool_guard_rules, reverse_path_filter, strict_arp
from .model import CompiledGroup, Group
from .recipe import FROM_POOL, bound_rules, connmark_rules, mark_recipe, node_networks, table_routes


def compile_group(group: Group, context: Context) -> CompiledGroup:
    """Return the routing of replies; nothing is filtered but the sources that the pools deny."""
    common = (link_and_addresses(group, context), no_router_advertisements(group))
    guard_rules = pool_guard_rules(group)
    if context.kube_proxy_mode == "ipvs":
        rules = _source_rules(group, context) | bound_rules(group, context)
        routing = NodeState(routes=table_routes(group, context), rules=rules)
        return CompiledGroup(NodeState.union((*common, routing, strict_arp(context))), guard_rules=guard_rules)
    filtering, warnings = reverse_path_filter(group, context)
    state = NodeState.union((*common, filtering, mark_recipe(group, context)))
    return CompiledGroup(state, connmark_rules(group, context), guard_rules, warnings)


def _source_rules(group: Group, context: Context) -> frozenset[Rule]:
    """Return the ``from`` rules; packets to pods and nodes find a ``throw`` route in the table and pass them by."""
    priority = context.declaration.settings.priority_base + FROM_POOL
    return frozenset(
        Rule(family, priority, table=group.table, source=network)
        for family in group.families
        for network in (*group.networks(family), *node_networks(group, family, context))
    )
