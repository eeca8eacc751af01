# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference between the desired state and a node, as steps; one obstacle does not block anything else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ..diagnosis.finding import Finding
from ..planning.placement import place_rules
from ..planning.plan import make_plan
from ..state import Address, Node, NodeState, Route, Rule
from ..state.chain import ChainSetKey, unreadable_table
from ..state.route import MAIN_TABLE
from ..state.step import Step
from .feasible import feasible_part

_DEFAULT_TABLE = 253
_SHARED_TABLES = frozenset({MAIN_TABLE, _DEFAULT_TABLE})
_FOREIGN = "already exists and is managed by someone else"


@dataclass(frozen=True)
class Drift:
    """What can be reconciled now, and what cannot.

    :param steps: in order.
    :param waiting: a sentence for each object that cannot be reconciled now.
    :param unreadable: a sentence for each iptables table that cannot be read, so that its chains cannot be reconciled.
    :param notes: a sentence for each way in which the node is as desired, but not as declared.
    :param obstacles: foreign rules before the managed ones, which a sentence of ``waiting`` names.
    :param findings: what keeps pools from working although the node is as desired.
    """

    steps: tuple[Step, ...] = ()
    waiting: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    obstacles: frozenset[Rule] = frozenset()
    findings: tuple[Finding, ...] = ()


def find_drift(desired: NodeState, node: Node) -> Drift:
    """Return the steps to the desired state, as far as the node can have it.

    A run of ``apply`` refuses to start if a foreign object has the key of a desired one. Once a node is in operation, the
    desired one was first: in a table with managed routes only, a foreign route with its key is replaced. In the main table,
    and for addresses, the foreign object stays and the desired one waits.
    """
    placement = place_rules(desired, node)
    feasible = feasible_part(placement.state, node)
    routes = dict(_contested_routes(feasible.state, node))
    addresses = dict(_contested_addresses(feasible.state, node))
    state = replace(
        feasible.state,
        routes=feasible.state.routes - routes.keys(),
        addresses=feasible.state.addresses - addresses.keys(),
    )
    tables = _unreadable_tables(state, node)
    if node.iptables_problem:
        missing = [f"chains wait: {node.iptables_problem}"] if any(chains.chains for chains in state.chains) else []
        state = replace(state, chains=frozenset())
    else:
        missing = []
    keys = {ChainSetKey("nft", family) for family, _table in tables}
    plan = make_plan(_without_chains(state, keys), _with_replaced_routes(state, _without_unreadable(node, keys)))
    waiting = [*placement.problems]
    waiting += [f"route {route} waits: {reason}" for route, reason in sorted(routes.items())]
    waiting += [f"address {address} waits: {reason}" for address, reason in sorted(addresses.items())]
    unreadable = [f"{family} chains wait: {unreadable_table(family, table)}" for family, table in tables]
    return Drift(
        plan.steps, (*feasible.waiting, *waiting), (*missing, *unreadable), placement.notes, placement.obstacles
    )


def _unreadable_tables(desired: NodeState, node: Node) -> list[tuple[str, str]]:
    """Return family and name of the unreadable tables that have managed chains, or should have.

    What is written to such a table cannot be read back, and would be written again at every check.
    """
    needed = {(chain.family, chain.table) for chains in desired.chains for chain in chains.chains}
    return sorted(node.iptables_hidden | (node.iptables_incompatible & needed))


def _without_chains(state: NodeState, keys: Collection[ChainSetKey]) -> NodeState:
    return replace(state, chains=frozenset(chains for chains in state.chains if chains.key not in keys))


def _without_unreadable(node: Node, keys: Collection[ChainSetKey]) -> Node:
    """Return the node without these sets of chains, so that the plan leaves them unchanged."""
    if not keys:
        return node
    return replace(node, managed=_without_chains(node.managed, keys), iptables_hidden=frozenset())


def _contested_routes(desired: NodeState, node: Node) -> Iterator[tuple[Route, str]]:
    """Yield desired routes whose key a foreign route of a shared table has, and which."""
    foreign = {route.key: route for route in node.foreign_routes if route.table in _SHARED_TABLES}
    for route in desired.routes - node.managed.routes:
        other = foreign.get(route.key)
        if other is not None and other != route:
            yield route, f'"{other}" {_FOREIGN}'


def _contested_addresses(desired: NodeState, node: Node) -> Iterator[tuple[Address, str]]:
    foreign = {item.address.partition("/")[0]: item for item in node.foreign_addresses}
    for address in desired.addresses:
        other = foreign.get(address.address.partition("/")[0])
        if other is not None and other != address:
            yield address, f"{other.address} on {other.interface} {_FOREIGN}"


def _with_replaced_routes(desired: NodeState, node: Node) -> Node:
    """Return the node with foreign routes in place of desired ones as managed: the plan then changes them."""
    by_key = {route.key: route for route in desired.routes}
    managed_keys = {route.key for route in node.managed.routes}
    replacing = frozenset(route for route in node.foreign_routes if route != by_key.get(route.key, route))
    as_managed = frozenset(route for route in replacing if route.key not in managed_keys)
    managed = replace(node.managed, routes=node.managed.routes | as_managed)
    return replace(node, managed=managed, foreign_routes=node.foreign_routes - replacing)
