# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 4: as case 3, and the addresses are reached from everywhere: outside, the link, the LAN, nodes and pods.

The mark recipe with the guard chain: what can only be forged does not get in by the pool's interface.
"""

from __future__ import annotations

from ..declaration.model import Declaration
from ..state import Node, NodeState
from ..state.family import family_of, full_length
from .links import link_and_addresses, no_router_advertisements, reverse_path_filter, strict_arp
from .model import Group, Guarding, Needs
from .recipe import mark_recipe, markings


def compile_group(group: Group, declaration: Declaration, node: Node, mode: str) -> Needs:
    """Return the mark recipe, source checking that knows the mark, and the guard."""
    filtering, warnings = reverse_path_filter(group, node)
    state = NodeState.union(
        (
            link_and_addresses(group.pools, node),
            no_router_advertisements(group),
            filtering,
            mark_recipe(group, declaration),
            strict_arp(mode, node),
        )
    )
    return Needs(state, markings(group), _guardings(group), warnings)


def _guardings(group: Group) -> tuple[Guarding, ...]:
    """Return the guard of each family; one interface's guardings are put together later."""
    return tuple(
        Guarding(
            family,
            group.interface,
            group.destinations(family),
            _refused_sources(group, family),
            refuse_cluster=True,
            only_networks=not group.shared,
        )
        for family in group.families
    )


def _refused_sources(group: Group, family: str) -> tuple[str, ...]:
    """Return what the pools deny, and the node's own addresses of the pools: nobody else has those."""
    own = (f"{address}/{full_length(family_of(address))}" for pool in group.pools for address in pool.addresses)
    denied = (network for pool in group.pools for network in pool.deny)
    return tuple(dict.fromkeys(source for source in (*denied, *own) if family_of(source) == family))
