# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of ip_rules: refuses invalid entries, and supplies pyroute2 if the node has none that is recent enough."""

from __future__ import annotations

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.objects import parse_rules
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.entries import EntriesAction


class ActionModule(EntriesAction):
    """Action plugin of the module ip_rules."""

    OPTION = "rules"
    parse = staticmethod(parse_rules)
