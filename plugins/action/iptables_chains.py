# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of iptables_chains: explains a Python that is too old."""

from __future__ import annotations

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.supply_pyroute2 import SupplyPyroute2


class ActionModule(SupplyPyroute2):
    """Action plugin of the module iptables_chains."""
