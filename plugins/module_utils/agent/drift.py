# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do so that a node has again what is declared; whatever stands in the way of one thing keeps no other back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ..planning.plan import make_plan
from ..state import Address, Node, NodeState, Route
from ..state.chain import native_words
from ..state.route import MAIN_TABLE
from ..state.step import Step
from .reach import within_reach

_DEFAULT_TABLE = 253
_SHARED_TABLES = frozenset({MAIN_TABLE, _DEFAULT_TABLE})


@dataclass(frozen=True)
class Repair:
    """What can be put back now, and what cannot.

    :param steps: in order.
    :param waiting: one sentence per thing that cannot be had at present.
    :param hidden: one sentence per table of iptables in which ours cannot be seen, and so not put right.
    """

    steps: tuple[Step, ...] = ()
    waiting: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def plan_repair(wanted: NodeState, node: Node) -> Repair:
    """Return the steps to what is wanted, as far as the node can have it.

    Where ``apply`` would refuse to begin, because something of another owner has the place of ours, a node that has run
    for a month is different: ours was there. A route that replaced ours in a table of ours is replaced in turn; in the
    main table, and with addresses, the other one stays and ours waits.
    """
    reach = within_reach(wanted, node)
    routes = dict(_contested_routes(reach.state, node))
    addresses = dict(_contested_addresses(reach.state, node))
    state = replace(
        reach.state, routes=reach.state.routes - routes.keys(), addresses=reach.state.addresses - addresses.keys()
    )
    hidden = _hidden_tables(state, node)
    keys = {("nft", family) for family, _table in hidden}
    plan = make_plan(_without_chains(state, keys), _with_taken_places(state, _with_chains_unread(node, keys)))
    waiting = [f"route {route} waits: {why}" for route, why in sorted(routes.items())]
    waiting += [f"address {address} waits: {why}" for address, why in sorted(addresses.items())]
    words = tuple(f"{family} chains wait: {native_words(family, table)}" for family, table in hidden)
    return Repair(plan.steps, (*reach.waiting, *waiting), words)


def _hidden_tables(wanted: NodeState, node: Node) -> list[tuple[str, str]]:
    """Return the tables that cannot be read in which there are, or should be, chains of ours.

    What is written to such a table cannot be found there afterwards, and would be written again at every look.
    """
    needed = {(chain.family, chain.table) for chains in wanted.chains for chain in chains.chains}
    return sorted(node.iptables_hidden | (node.iptables_incompatible & needed))


def _without_chains(state: NodeState, keys: Collection[tuple[str, str]]) -> NodeState:
    return replace(state, chains=frozenset(chains for chains in state.chains if chains.key not in keys))


def _with_chains_unread(node: Node, keys: Collection[tuple[str, str]]) -> Node:
    """Return the node as though there were no chains of these variants and families: the plan leaves them alone."""
    if not keys:
        return node
    return replace(node, managed=_without_chains(node.managed, keys), iptables_hidden=frozenset())


def _contested_routes(wanted: NodeState, node: Node) -> Iterator[tuple[Route, str]]:
    """Yield routes whose place in a table that we share is another owner's, and by whose."""
    foreign = {route.key: route for route in node.foreign_routes if route.table in _SHARED_TABLES}
    for route in wanted.routes - node.managed.routes:
        other = foreign.get(route.key)
        if other is not None and other != route:
            yield route, f'"{other}" is there already and is not ours'


def _contested_addresses(wanted: NodeState, node: Node) -> Iterator[tuple[Address, str]]:
    foreign = {item.address.partition("/")[0]: item for item in node.foreign_addresses}
    for address in wanted.addresses:
        other = foreign.get(address.address.partition("/")[0])
        if other is not None and other != address:
            yield address, f"{other.address} on {other.interface} is there already and is not ours"


def _with_taken_places(wanted: NodeState, node: Node) -> Node:
    """Return the node as though routes in the places of ours were ours, changed: the plan then changes them back."""
    places = {route.key: route for route in wanted.routes}
    there = {route.key for route in node.managed.routes}
    taken = frozenset(route for route in node.foreign_routes if route != places.get(route.key, route))
    ours_again = frozenset(route for route in taken if route.key not in there)
    managed = replace(node.managed, routes=node.managed.routes | ours_again)
    return replace(node, managed=managed, foreign_routes=node.foreign_routes - taken)
