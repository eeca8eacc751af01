# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of routing_info: supplies pyroute2 if the node has none that is recent enough."""

from __future__ import annotations

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.supply_pyroute2 import SupplyPyroute2


class ActionModule(SupplyPyroute2):
    """Action plugin of the module routing_info."""
