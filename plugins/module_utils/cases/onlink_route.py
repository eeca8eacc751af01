# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 2: the pool's network is on a link on which the node has no address in it and no route to it."""

from __future__ import annotations

from ..state import NodeState, Route
from ..state.family import FAMILIES
from ..state.route import MAIN_TABLE
from .context import Context
from .links import link_and_addresses, pool_guard_rules, strict_arp
from .model import CompiledGroup, Group


def compile_group(group: Group, context: Context) -> CompiledGroup:
    """Return the link if it is declared, and routes in the main table for networks that have none on the link.

    Where the node has an address of one family only, the kernel has added the route of that family itself.
    """
    routes = frozenset(
        Route(family, MAIN_TABLE, network, interface=group.interface)
        for family in FAMILIES
        for network in group.onlink_networks(family)
        if context.onlink_interfaces.longest(network) != group.interface
    )
    state = NodeState.union((link_and_addresses(group, context), NodeState(routes=routes), strict_arp(context)))
    return CompiledGroup(state, guard_rules=pool_guard_rules(group))
