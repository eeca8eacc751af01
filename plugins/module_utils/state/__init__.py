# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a node as values: frozen, and in one canonical form; pure."""

from __future__ import annotations

from .address import Address
from .chain import Chain, ChainSet
from .file import File
from .link import Link
from .node import Interface, KubeProxy, Node, NodeState, Ownership
from .route import Route
from .rule import Rule
from .sysctl import Sysctl
from .unit import Unit

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
