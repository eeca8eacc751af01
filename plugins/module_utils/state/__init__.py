# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node can have: links, addresses, routes, rules, sysctls, chains, files, units; frozen and canonical."""

from __future__ import annotations

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.address import Address
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import Chain, ChainSet
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.file import File
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.link import Link
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.node import (
    Interface,
    KubeProxy,
    Node,
    NodeState,
    Ownership,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route import Route
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.rule import Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.sysctl import Sysctl
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.unit import Unit

__all__ = [
    "Address",
    "Chain",
    "ChainSet",
    "File",
    "Interface",
    "KubeProxy",
    "Link",
    "Node",
    "NodeState",
    "Ownership",
    "Route",
    "Rule",
    "Sysctl",
    "Unit",
]
