# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 2: the pool's network is attached to an interface on which the node has no address or route."""

from __future__ import annotations

from ..state import Node, NodeState, Route
from ..state.family import covering, family_of
from ..state.route import MAIN_TABLE
from .choice import Attached
from .links import link_and_addresses, pool_guardings, strict_arp
from .model import Choice, Needs


def compile_pool(choice: Choice, node: Node, mode: str, attached: Attached) -> Needs:
    """Return the link if it is asked for, and the routes in the main table.

    Where the node has an address of one family only, the kernel's own route is there for that family, in the place of ours.
    """
    pool = choice.pool
    further = pool.onlink_networks
    networks = (*further, *(network for network in pool.networks if not covering(further, network)))
    lacking = (network for network in networks if attached.longest(network) != pool.interface)
    routes = frozenset(Route(family_of(network), MAIN_TABLE, network, interface=pool.interface) for network in lacking)
    state = NodeState.union((link_and_addresses((pool,), node), NodeState(routes=routes), strict_arp(mode, node)))
    return Needs(state, guardings=pool_guardings(pool))
