# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools put together by interface and gateways, and the mark and table of each such group."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from ..declaration.model import Declaration, Pool, Settings
from ..errors import InputError
from ..state import Node
from .facts import why_shared
from .model import Choice, Group

Key = tuple[str, str, tuple[str, ...], int, int]  # case, interface, gateways, declared table, declared mark


def lowest_bit(mask: int) -> int:
    """Return the value of the mask's lowest bit: the step between two marks."""
    return mask & -mask


def form_groups(choices: Iterable[Choice], declaration: Declaration, node: Node) -> tuple[Group, ...]:
    """Return the groups of pools that need a table, each with its mark.

    A mark once given to a gateway stays its own: it is read back from the node, so that running connections keep their way
    when pools come and go.
    """
    members: dict[Key, list[Pool]] = {}
    for choice in choices:
        pool = choice.pool
        if choice.case in ("source_routing", "policy_routing"):
            gateways = tuple(sorted(pool.gateways, key=_gateway_order))
            key = (choice.case, pool.interface, gateways, pool.table, pool.mark)
            members.setdefault(key, []).append(pool)
    shared = {key: is_shared(pools, declaration, node) for key, pools in members.items()}
    marks = _assign_marks(shared, declaration.settings, node)
    return tuple(
        Group(
            case=key[0],
            interface=key[1],
            gateways=key[2],
            pools=tuple(pools),
            mark=marks[key],
            table=key[3] or table_of(marks[key], declaration.settings),
            shared=shared[key],
            request_mark=marks.get((key,), 0),
        )
        for key, pools in members.items()
    )


def table_of(mark: int, settings: Settings) -> int:
    """Return the table that goes with a mark where none is declared."""
    return settings.table_base + mark // lowest_bit(settings.mark_mask) - 1


def is_shared(pools: Iterable[Pool], declaration: Declaration, node: Node) -> bool:
    """Whether the pools' interface carries other traffic of the node; ``dedicated`` decides where it is declared."""
    first = next(iter(pools))
    there = declaration.pools_by_interface[first.interface]
    declared = next((pool.dedicated for pool in there if pool.dedicated is not None), None)
    return bool(why_shared(node, declaration, first.interface)) if declared is None else not declared


def _assign_marks(shared: Mapping[Key, bool], settings: Settings, node: Node) -> dict[Hashable, int]:
    """Return a mark per group, and under the key ``(group,)`` the request mark of a shared one.

    A mark is the declared one, else the one the group had, else the lowest that nobody has.
    """
    former = _former_marks(settings, node)
    marks: dict[Hashable, int] = {key: key[4] for key in shared if key[4]}
    taken = set(marks.values())

    def give(name: Hashable, mark: int) -> None:
        if mark and mark not in taken and name not in marks:
            marks[name] = mark
            taken.add(mark)

    for known in (_by_gateways(former), _by_interface(former)):
        for key in shared:
            give(key, known.get((key[1], key[2]), known.get((key[1], ()), 0)))
    requests = {item.mark: item.request_mark for item in former}
    for key, is_shared_one in shared.items():
        if is_shared_one:
            give((key,), requests.get(marks.get(key, 0), 0))
    step = lowest_bit(settings.mark_mask)
    free = (mark for mark in range(step, settings.mark_mask + step, step) if mark not in taken)
    names: list[Hashable] = [*shared, *((key,) for key, is_shared_one in shared.items() if is_shared_one)]
    for name in names:
        if name not in marks:
            marks[name] = _next_free(free, len(names), settings)
    return marks


def _next_free(free: Iterable[int], wanted: int, settings: Settings) -> int:
    mark = next(iter(free), 0)
    if not mark:
        values = settings.mark_mask // lowest_bit(settings.mark_mask)
        raise InputError(
            "mark_mask",
            f"{settings.mark_mask:#x} has room for {values} marks, and {wanted} are needed: one per gateway, two where its"
            " interface is shared",
            "Give a mask with more bits that nothing else on the node uses.",
        )
    return mark


@dataclass(frozen=True)
class FormerGroup:
    """What an earlier run left on the node.

    :param gateways: none if the table's routes are gone.
    """

    mark: int
    request_mark: int
    interface: str
    gateways: tuple[str, ...]


def _former_marks(settings: Settings, node: Node) -> tuple[FormerGroup, ...]:
    """Return what our own rules and routes on the node say about earlier runs, lowest mark first."""
    gateways: dict[int, set[str]] = {}
    interfaces: dict[int, str] = {}
    for route in node.managed.routes:
        if route.is_default and route.gateway:
            gateways.setdefault(route.table, set()).add(route.gateway)
            interfaces[route.table] = route.interface
    ours = [
        rule
        for rule in node.managed.rules
        if rule.fwmask == settings.mark_mask and rule.action == "lookup" and not rule.extra
    ]
    arriving = {rule.fwmark: rule.iif for rule in ours if rule.iif and not rule.destination}
    marks: dict[int, set[int]] = {}
    for rule in ours:
        if not rule.iif:
            marks.setdefault(rule.table, set()).add(rule.fwmark)
    for table in gateways:  # groups that route without a mark, by their table
        mark = (table - settings.table_base + 1) * lowest_bit(settings.mark_mask)
        if table not in marks and 0 < mark <= settings.mark_mask:
            marks[table] = {mark}
    found = []
    for table, both in marks.items():
        # Of two marks with one table, requests carry the one that has the rule for what comes in.
        request = next((mark for mark in sorted(both) if mark in arriving and len(both) > 1), 0)
        mark = min(both - {request})
        interface = arriving.get(request or mark, interfaces.get(table, ""))
        found.append(FormerGroup(mark, request, interface, tuple(sorted(gateways.get(table, ()), key=_gateway_order))))
    return tuple(sorted(found, key=lambda group: group.mark))


def _gateway_order(gateway: str) -> tuple[bool, str]:
    return (":" in gateway, gateway)


def _by_gateways(former: tuple[FormerGroup, ...]) -> Mapping[tuple[str, tuple[str, ...]], int]:
    return {(group.interface, group.gateways): group.mark for group in reversed(former) if group.gateways}


def _by_interface(former: tuple[FormerGroup, ...]) -> Mapping[tuple[str, tuple[str, ...]], int]:
    """Where a gateway changed or the routes are gone, the group of the same interface is the same group."""
    return {(group.interface, ()): group.mark for group in reversed(former)}
