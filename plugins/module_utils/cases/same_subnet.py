# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 1: the pool is inside the node's own subnet, so the node needs nothing, and that is proven."""

from __future__ import annotations

from ..state import Node, NodeState
from .links import link_and_addresses, pool_guardings, strict_arp
from .model import Choice, Needs


def compile_pool(choice: Choice, node: Node, mode: str) -> Needs:
    """Return strict ARP where IPVS needs it: choosing this case has proven that the route is there.

    A link of ours that somebody put an address on stays where it is declared.
    """
    pool = choice.pool
    state = NodeState.union((link_and_addresses((pool,), node), strict_arp(mode, node)))
    return Needs(state, guardings=pool_guardings(pool))
