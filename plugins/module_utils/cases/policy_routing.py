# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 4: as case 3, and the addresses are reachable from everywhere: outside, the link, the LAN, nodes and pods.

The mark recipe and the guard, which drops packets on the pools' link that can only be forged.
"""

from __future__ import annotations

from ..state import NodeState
from ..state.family import covering, family_of, full_length
from .context import Context
from .dedicated import has_bridged_frames
from .links import link_and_addresses, no_router_advertisements, reverse_path_filter, strict_arp
from .model import CompiledGroup, Group, GuardRule
from .recipe import connmark_rules, mark_recipe, node_networks


def compile_group(group: Group, context: Context) -> CompiledGroup:
    """Return the mark recipe, source validation that takes the mark into account, and the guard."""
    filtering, warnings = reverse_path_filter(group, context)
    state = NodeState.union(
        (
            link_and_addresses(group, context),
            no_router_advertisements(group),
            filtering,
            mark_recipe(group, context),
            strict_arp(context),
        )
    )
    drop_others = not group.shared and not has_bridged_frames(group.interface, context)
    if not group.shared and not drop_others:
        warnings = (*warnings, _bridge_warning(group))
    return CompiledGroup(
        state, connmark_rules(group, context), _guard_rules(group, context, drop_others=drop_others), warnings
    )


def _bridge_warning(group: Group) -> str:
    return (
        f"{group.path}.dedicated: {group.interface} is a bridge, and the guard cannot tell packets for this node from frames"
        " of other hosts that pass it. It drops forged sources of packets to the pool, and nothing else."
    )


def _guard_rules(group: Group, context: Context, *, drop_others: bool) -> tuple[GuardRule, ...]:
    own = {family: node_networks(group, family, context) for family in group.families}
    to_node = (GuardRule(family, group.interface, networks) for family, networks in own.items() if networks)
    to_pool = (
        GuardRule(
            family,
            group.interface,
            group.destinations(family),
            _refused_sources(group, family),
            drop_cluster_sources=True,
            drop_other_destinations=drop_others,
            own=() if group.node_services else _own(group, family),
            vital=_vital(group, family, context),
        )
        for family in group.families
    )
    return (*to_pool, *to_node)


def _refused_sources(group: Group, family: str) -> tuple[str, ...]:
    """Return the sources that the pools deny, and this node's own addresses of the pools, which no other host has."""
    denied = (network for pool in group.pools for network in pool.deny if family_of(network) == family)
    return tuple(dict.fromkeys((*denied, *_own(group, family))))


def _own(group: Group, family: str) -> tuple[str, ...]:
    """Return this node's own addresses of the pools."""
    addresses = (address for pool in group.pools for address in pool.addresses if family_of(address) == family)
    return tuple(f"{address}/{full_length(family)}" for address in addresses)


def _vital(group: Group, family: str, context: Context) -> tuple[str, ...]:
    """Return the servers that the node needs, and the peer of this run's connection if it is on the link."""
    peer = context.node.ssh_peer
    on_link = peer and family_of(peer) == family and covering(group.onlink_networks(family), peer)
    addresses = (server.address for server in context.servers if family_of(server.address) == family)
    return tuple(
        f"{address}/{full_length(family)}" for address in dict.fromkeys((*addresses, *([peer] if on_link else [])))
    )
