# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of iptables_chains: refuses invalid entries, and explains a Python that is too old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.objects import parse_chains
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.ownership import (
    read_comment,
    read_prefix,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.entries import EntriesAction


class ActionModule(EntriesAction):
    """Action plugin of the module iptables_chains."""

    OPTION = "chains"

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Read the prefix and the entries, if both are given; Ansible reports one that is missing."""
        if not {"prefix", "chains"} <= arguments.keys():
            return
        prefix = read_prefix("prefix", arguments["prefix"], Ownership().chain_prefix)
        read_comment("comment", arguments.get("comment") or "")
        parse_chains(arguments["chains"], prefix)
