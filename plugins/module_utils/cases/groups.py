# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools put together by interface and gateways, and the mark and table of each such group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.facts import why_shared
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.model import Choice, Group
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import (
    Declaration,
    Pool,
    Settings,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Node

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
    marks = _assign_marks(tuple(members), declaration.settings, node)
    return tuple(
        Group(
            case=key[0],
            interface=key[1],
            gateways=key[2],
            pools=tuple(pools),
            mark=marks[key],
            table=key[3] or table_of(marks[key], declaration.settings),
            shared=is_shared(pools, declaration, node),
        )
        for key, pools in members.items()
    )


def table_of(mark: int, settings: Settings) -> int:
    """Return the table that goes with a mark where none is declared."""
    return settings.table_base + mark // lowest_bit(settings.mark_mask) - 1


def is_shared(pools: Iterable[Pool], declaration: Declaration, node: Node) -> bool:
    """Whether the pools' interface carries other traffic of the node; ``dedicated`` decides where it is declared."""
    first = next(iter(pools))
    declared = next(
        (
            pool.dedicated
            for pool in declaration.pools
            if pool.interface == first.interface and pool.dedicated is not None
        ),
        None,
    )
    return bool(why_shared(node, declaration, first.interface)) if declared is None else not declared


def _assign_marks(keys: tuple[Key, ...], settings: Settings, node: Node) -> dict[Key, int]:
    """Return a mark per group: declared, else the one it had, else the lowest that nobody has or had."""
    marks = {key: key[4] for key in keys if key[4]}
    taken = set(marks.values())
    former = _former_marks(settings, node)
    for known in (_by_gateways(former), _by_interface(former)):
        for key in keys:
            mark = known.get((key[1], key[2]), known.get((key[1], ()), 0))
            if key not in marks and mark and mark not in taken:
                marks[key] = mark
                taken.add(mark)
    step = lowest_bit(settings.mark_mask)
    free = (mark for mark in range(step, settings.mark_mask + step, step) if mark not in taken)
    for key in keys:
        if key not in marks:
            marks[key] = _next_free(free, len(keys), settings)
    return marks


def _next_free(free: Iterable[int], wanted: int, settings: Settings) -> int:
    mark = next(iter(free), 0)
    if not mark:
        values = settings.mark_mask // lowest_bit(settings.mark_mask)
        raise InputError(
            "mark_mask",
            f"{settings.mark_mask:#x} has room for {values} gateways, and {wanted} are declared",
            "Give a mask with more bits that nothing else on the node uses.",
        )
    return mark


FormerGroup = tuple[int, str, tuple[str, ...]]  # mark, interface, gateways (empty if its routes are gone)


def _former_marks(settings: Settings, node: Node) -> tuple[FormerGroup, ...]:
    """Return what our own rules and routes on the node say about earlier runs, lowest mark first."""
    gateways: dict[int, set[str]] = {}
    interfaces: dict[int, str] = {}
    for route in node.owned.routes:
        if route.is_default and route.gateway:
            gateways.setdefault(route.table, set()).add(route.gateway)
            interfaces[route.table] = route.interface
    arriving = {rule.fwmark: rule.iif for rule in node.owned.rules if rule.iif and rule.fwmask == settings.mark_mask}
    tables = {
        rule.fwmark: rule.table
        for rule in node.owned.rules
        if rule.fwmask == settings.mark_mask and rule.fwmark and rule.action == "lookup" and not rule.iif
    }
    for table in gateways:  # groups that route without a mark, by their table
        mark = (table - settings.table_base + 1) * lowest_bit(settings.mark_mask)
        if 0 < mark <= settings.mark_mask:
            tables.setdefault(mark, table)
    return tuple(
        (
            mark,
            arriving.get(mark, interfaces.get(table, "")),
            tuple(sorted(gateways.get(table, ()), key=_gateway_order)),
        )
        for mark, table in sorted(tables.items())
    )


def _gateway_order(gateway: str) -> tuple[bool, str]:
    return (":" in gateway, gateway)


def _by_gateways(former: tuple[FormerGroup, ...]) -> Mapping[tuple[str, tuple[str, ...]], int]:
    return {(interface, gateways): mark for mark, interface, gateways in reversed(former) if gateways}


def _by_interface(former: tuple[FormerGroup, ...]) -> Mapping[tuple[str, tuple[str, ...]], int]:
    """Where a gateway changed or the routes are gone, the group of the same interface is the same group."""
    return {(interface, ()): mark for mark, interface, _gateways in reversed(former)}
