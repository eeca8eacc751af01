# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 1: the pool is inside the node's own subnet, and choosing the case has proven that the node needs nothing."""

from __future__ import annotations

from ..state import NodeState
from .context import Context
from .links import link_and_addresses, pool_guard_rules, strict_arp
from .model import CompiledGroup, Group


def compile_group(group: Group, context: Context) -> CompiledGroup:
    """Return strict ARP where IPVS needs it, and the link if it is managed."""
    state = NodeState.union((link_and_addresses(group, context), strict_arp(context)))
    return CompiledGroup(state, guard_rules=pool_guard_rules(group))
