# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Case 1: the pool is inside the node's own subnet, so the node needs nothing, and that is proven."""

from __future__ import annotations

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.links import strict_arp
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.model import Choice, Needs


def compile_pool(_choice: Choice, mode: str) -> Needs:
    """Return strict ARP where IPVS needs it, and nothing else: choosing this case has proven that the route is there."""
    return Needs(strict_arp(mode))
