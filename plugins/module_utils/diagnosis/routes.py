# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kernel where it routes the packets of pools: two batches of single questions, no dump."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..kernel.netlink.route_lookup import look_up
from ..kernel.netlink.rtnetlink import Rtnetlink
from ..state import Node, NodeState
from ..state.family import FAMILIES
from ..state.packet_filter import FilterChain
from ..state.route_lookup import RouteAnswer, RouteQuestion
from .differences import Difference, find_differences
from .endpoints import find_endpoints, outside_clients
from .expectations import FULLY_ASKED, expectations, unmarked
from .filters import filter_findings
from .finding import Finding
from .pool_routes import PoolRoutes, routes_of_pools


@dataclass(frozen=True)
class Survey:
    """What the kernel has answered.

    :param questions: all that had an expected answer.
    :param differences: the answers that are not what the pools need.
    :param filters: foreign filters that drop what the pools need.
    """

    questions: frozenset[RouteQuestion] = frozenset()
    differences: tuple[Difference, ...] = ()
    filters: tuple[Finding, ...] = ()


def ask_about_pools(
    desired: NodeState,
    cases: Iterable[Mapping[str, Any]],
    node: Node,
    pyroute2_path: str,
    filters: Sequence[FilterChain] = (),
) -> Survey:
    """Ask the kernel what the pools need.

    :param desired: what the node has by now, or is to have.
    :param cases: of the pools, as in the state file.
    :param node: with the foreign rules, and with the foreign routes to endpoints.
    :param filters: the foreign chains that check the sources of packets.
    :raises NodeError: the kernel does not answer.
    """
    pools = routes_of_pools(desired, cases)
    if not pools:
        return Survey()
    node = _without_removed_addresses(desired, node)
    names = dict(socket.if_nameindex())
    with Rtnetlink(extra_directory=pyroute2_path) as netlink:

        def ask(questions: Iterable[RouteQuestion]) -> dict[RouteQuestion, RouteAnswer]:
            distinct: Sequence[RouteQuestion] = tuple(dict.fromkeys(questions))
            return dict(zip(distinct, look_up(netlink, distinct, names)))

        endpoints = {family: find_endpoints(family, _cluster(family, pools), node) for family in FAMILIES}
        with_marks = [one for one in pools if one.request_mark]
        answers = ask(
            question
            for number, one in enumerate(with_marks)
            for client in outside_clients(one, node)[:1]
            for endpoint in endpoints[one.family][: None if number < 2 * FULLY_ASKED else 1]
            for question in unmarked(endpoint, one, client)
        )
        expected = [
            expectation
            for number, one in enumerate(pools)
            for expectation in expectations(one, endpoints[one.family], answers, node, fully=number < 2 * FULLY_ASKED)
        ]
        answers.update(ask(one.question for one in expected))
        questions = frozenset(one.question for one in expected)
        differences = find_differences(expected, answers, node)
        return Survey(questions, differences, tuple(filter_findings(pools, filters, node, ask)))


def _without_removed_addresses(desired: NodeState, node: Node) -> Node:
    """Return the node without the managed addresses that are no longer desired."""
    removed = {(item.interface, item.address) for item in node.managed.addresses - desired.addresses}
    if not removed:
        return node
    interfaces = {
        name: replace(one, addresses=tuple(own for own in one.addresses if (name, own) not in removed))
        for name, one in node.interfaces.items()
    }
    return replace(node, interfaces=interfaces)


def _cluster(family: str, pools: Iterable[PoolRoutes]) -> frozenset[str]:
    """Return the networks of pods and the addresses of nodes: what the tables do not route."""
    return frozenset(network for one in pools if one.family == family for network in one.cluster)
