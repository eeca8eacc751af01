# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kernel whether it routes the packets of pools as it must."""

from __future__ import annotations

from dataclasses import replace

from ..diagnosis.differences import findings, without_obstacles
from ..diagnosis.finding import Finding
from ..diagnosis.routes import ask_about_pools
from ..persistence.statefile import Saved
from ..state import Node, NodeState
from ..state.route_selection import RouteSelection, routes_to
from .drift import Drift

Findings = tuple[Finding, ...]


def needed_routes(state: NodeState) -> RouteSelection:
    """Return which foreign routes the drift and the questions need: those of the desired ones, and some to endpoints."""
    endpoints = frozenset(route.destination for route in state.routes if route.type == "throw")
    return replace(routes_to(state.routes), endpoints=endpoints)


def find_wrong_routes(saved: Saved, drift: Drift, node: Node) -> Findings:
    """Return what keeps pools from working; nothing of what is to be reconciled or waits.

    :param node: with its links, addresses, routes and rules.
    """
    if drift.steps:
        return ()
    missing = {route.table for route in saved.state.routes - node.managed.routes - node.foreign_routes}
    cases = [
        case
        for case in saved.cases
        if case["interface"] in node.interfaces
        and node.interfaces[case["interface"]].up
        and case.get("table") not in missing
    ]
    differences = ask_about_pools(saved.state, cases, node, saved.pyroute2_path).differences
    return findings(without_obstacles(differences, drift.obstacles))
