# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses groups whose tables, marks or chains are already in use or cannot be used on this node."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from ...errors import InputError
from ...state import Node, Route
from ...state.chain import POOL_TABLES, PROGRAMS, unreadable_table
from ...state.family import FAMILY_NAMES
from ..context import Context
from ..model import Group


def group_refusals(groups: Iterable[Group], context: Context) -> Iterator[InputError]:
    """Yield why groups that have marks do not fit each other or this node."""
    marked = [group for group in groups if group.traits.uses_marks]
    by_table, by_mark = _first_by(marked, lambda group: group.table), _first_by(marked, lambda group: group.mark)
    serving = [group for group in marked if group.node_services]
    by_link = _first_by(serving, lambda group: group.interface)
    foreign = {route.table: route for route in sorted(context.node.foreign_routes, reverse=True)}
    for group in marked:
        yield from _same_table(group, by_table[group.table])
        yield from _same_mark(group, by_mark[group.mark])
        yield from _foreign_table(group, foreign.get(group.table))
        yield from _iptables(group, context.node)
    for group in serving:
        yield from _two_gateways(group, by_link[group.interface])
        yield from _default_router(group, context.node)


def _first_by(groups: Sequence[Group], key: Callable[[Group], Hashable]) -> dict[Hashable, Group]:
    return {key(group): group for group in reversed(groups)}


def _same_table(group: Group, first: Group) -> Iterator[InputError]:
    if first is not group:
        yield InputError(
            f"{group.path}.table",
            f"table {group.table} is already used by {first.path} ({first.interface}, {', '.join(first.gateways)})",
            "Declare another table for one of them.",
        )


def _same_mark(group: Group, first: Group) -> Iterator[InputError]:
    if first is not group:
        yield InputError(
            f"{group.path}.mark",
            f"{group.mark:#x} is already used by {first.path} (case {first.case})",
            "Declare another mark for one of them, or the same case for both.",
        )


def _two_gateways(group: Group, first: Group) -> Iterator[InputError]:
    if first is not group and set(first.families) & set(group.families):
        yield InputError(
            f"{group.path}.node_services",
            f"connections to the node's own addresses on {group.interface} are answered through the gateways of {first.path}"
            f" ({', '.join(first.gateways)}) already",
            "Declare node_services for the pools of one gateway only.",
        )


def _default_router(group: Group, node: Node) -> Iterator[InputError]:
    """Refuse to answer clients of the default router through another one: both are on the link, requests look the same."""
    best: dict[str, Route] = {}
    for route in node.default_routes:
        best.setdefault(route.family, route)
    for family in group.families:
        default, gateway = best.get(family), group.gateway(family)
        if default and default.interface == group.interface and default.gateway != gateway:
            yield InputError(
                f"{group.path}.node_services",
                f"the node's {FAMILY_NAMES[family]} default route uses {group.interface}, too, through {default.gateway}, and"
                f" replies to clients behind that router would leave through {gateway}",
                "Remove node_services.",
            )


def _foreign_table(group: Group, route: Route | None) -> Iterator[InputError]:
    if route:
        yield InputError(
            f"{group.path}.table",
            f"table {group.table} holds a route that is managed by someone else: {route}",
            "Remove such routes if they are left over from a manual setup of this pool, or declare another table.",
        )


def _iptables(group: Group, node: Node) -> Iterator[InputError]:
    for family, table in sorted(node.iptables_incompatible):
        if family in group.families and table in POOL_TABLES:
            yield InputError(
                "iptables_variant",
                f"chains in this table could not be read back: {unreadable_table(family, table)}",
                "Move those rules to a separate table.",
            )
    for family in sorted(set(group.families) - set(node.iptables_families)):
        yield InputError(
            f"{group.path}.networks",
            f"{group.networks(family)[0]} is {FAMILY_NAMES[family]}, and the node has no {PROGRAMS[family]} to mark its packets",
            f"Install {PROGRAMS[family]} and its kernel modules, or remove the network.",
        )
