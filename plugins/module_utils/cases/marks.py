# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assigns marks to groups, so that a gateway keeps its mark.

A mark is read back from the node's managed rules and routes, so running connections keep their route when pools are added
or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..declaration.model import Settings
from ..errors import InputError
from ..state import Node
from .context import Context
from .model import GroupKey


class MarkUse(NamedTuple):
    """What a mark stands for: the connections of a group, or the request packets of a group on a shared link."""

    group: GroupKey
    is_request: bool = False


@dataclass(frozen=True)
class PreviousGroup:
    """What an earlier run left on the node.

    :param gateways: empty if the routes of the table no longer exist.
    """

    mark: int
    request_mark: int
    interface: str
    gateways: tuple[str, ...]


def assign_marks(groups: Iterable[GroupKey], shared: Mapping[str, bool], context: Context) -> Mapping[MarkUse, int]:
    """Return the mark of each group, and the request mark of those on shared links.

    A mark is the declared one, else the one that the group had before, else the lowest free one.

    :param shared: whether the link of this name is shared.
    :raises InputError: ``mark_mask`` has too few values.
    """
    settings, keys = context.declaration.settings, tuple(groups)
    of_connections = [MarkUse(key) for key in keys]
    of_requests = [MarkUse(key, is_request=True) for key in keys if shared[key.interface]]
    assignment = _Assignment({MarkUse(key): key.mark for key in keys if key.mark})
    _assign_previous(assignment, of_connections, of_requests, _previous_groups(settings, context.node))
    uses = [*of_connections, *of_requests]
    free = (mark for mark in _all_marks(settings) if mark not in assignment.taken)
    for use in uses:
        if use not in assignment.marks:
            assignment.marks[use] = _next_free(free, len(uses), settings)
    return assignment.marks


def table_of(mark: int, settings: Settings) -> int:
    """Return the table that belongs to a mark if none is declared."""
    return settings.table_base + mark // _step(settings) - 1


def sorted_gateways(gateways: Iterable[str]) -> tuple[str, ...]:
    """Return the gateways, IPv4 first."""
    return tuple(sorted(gateways, key=lambda gateway: (":" in gateway, gateway)))


def _step(settings: Settings) -> int:
    """Return the lowest bit of the mask: the step between two marks."""
    return settings.mark_mask & -settings.mark_mask


def _all_marks(settings: Settings) -> range:
    step = _step(settings)
    return range(step, settings.mark_mask + step, step)


def _next_free(free: Iterator[int], needed: int, settings: Settings) -> int:
    mark = next(free, 0)
    if not mark:
        raise InputError(
            "mark_mask",
            f"{settings.mark_mask:#x} has room for {len(_all_marks(settings))} marks, but {needed} are needed: one for each"
            " gateway, two if its link is shared",
            "Choose a mask with more bits that nothing else on the node uses.",
        )
    return mark


class _Assignment:
    """The marks assigned so far.

    :param declared: two groups that declare the same mark both get it; this is refused later.
    """

    def __init__(self, declared: Mapping[MarkUse, int]) -> None:
        self.marks = dict(declared)
        self.taken = set(declared.values())

    def offer(self, use: MarkUse, mark: int) -> None:
        """Assign the mark unless it is 0 or taken, or the use has one."""
        if mark and mark not in self.taken and use not in self.marks:
            self.marks[use] = mark
            self.taken.add(mark)


def _assign_previous(
    assignment: _Assignment,
    of_connections: Sequence[MarkUse],
    of_requests: Iterable[MarkUse],
    previous: Sequence[PreviousGroup],
) -> None:
    """Assign the marks that the groups had before; where two previous groups look alike, the lower mark counts."""
    by_gateways = {(group.interface, group.gateways): group.mark for group in reversed(previous) if group.gateways}
    # A group whose gateway has changed or whose routes no longer exist is identified by its interface.
    by_interface = {group.interface: group.mark for group in reversed(previous)}
    request_marks = {group.mark: group.request_mark for group in previous}
    for use in of_connections:
        assignment.offer(use, by_gateways.get((use.group.interface, use.group.gateways), 0))
    for use in of_connections:
        assignment.offer(use, by_interface.get(use.group.interface, 0))
    for use in of_requests:
        assignment.offer(use, request_marks.get(assignment.marks.get(MarkUse(use.group), 0), 0))


def _previous_groups(settings: Settings, node: Node) -> tuple[PreviousGroup, ...]:
    """Return the groups of earlier runs, as the managed rules and routes of the node show them, lowest mark first."""
    gateways: dict[int, set[str]] = {}
    interfaces: dict[int, str] = {}
    for route in node.managed.routes:
        if route.is_default and route.gateway:
            gateways.setdefault(route.table, set()).add(route.gateway)
            interfaces[route.table] = route.interface
    rules = [
        rule
        for rule in node.managed.rules
        if rule.fwmask == settings.mark_mask and rule.action in ("lookup", "goto") and not rule.extra
    ]
    request_rules = {rule.fwmark: rule.iif for rule in rules if rule.iif and not rule.source and not rule.destination}
    marks: dict[int, set[int]] = {}
    for rule in rules:
        if not rule.iif and rule.action == "lookup":
            marks.setdefault(rule.table, set()).add(rule.fwmark)
    for table in gateways:  # groups that route without a mark are identified by their table
        mark = (table - settings.table_base + 1) * _step(settings)
        if table not in marks and 0 < mark <= settings.mark_mask:
            marks[table] = {mark}
    found = []
    for table, both in marks.items():
        # Of two marks with one table, the request mark is the one that has a rule for the link.
        request_mark = next((mark for mark in sorted(both) if mark in request_rules and len(both) > 1), 0)
        mark = min(both - {request_mark})
        interface = request_rules.get(request_mark or mark, interfaces.get(table, ""))
        found.append(PreviousGroup(mark, request_mark, interface, sorted_gateways(gateways.get(table, ()))))
    return tuple(sorted(found, key=lambda group: group.mark))
