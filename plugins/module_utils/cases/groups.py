# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups the pools that are compiled together."""

from __future__ import annotations

from collections.abc import Iterable

from ..declaration.model import Pool
from .context import Context
from .dedicated import sharing
from .marks import MarkUse, assign_marks, sorted_gateways, table_of
from .model import Choice, Group, GroupKey


def form_groups(choices: Iterable[Choice], context: Context) -> tuple[Group, ...]:
    """Return the groups, those of cases without marks first.

    :raises InputError: ``mark_mask`` has too few values.
    """
    members: dict[GroupKey, list[Pool]] = {}
    single: list[Choice] = []
    for choice in choices:
        pool = choice.pool
        if choice.traits.uses_marks:
            key = GroupKey(choice.case, pool.interface, sorted_gateways(pool.gateways), pool.table, pool.mark)
            members.setdefault(key, []).append(pool)
        else:
            single.append(choice)
    found = {interface: sharing(interface, context) for interface in context.declaration.pools_by_interface}
    shared = {interface: is_shared for interface, (is_shared, _reason) in found.items()}
    marks = assign_marks(members, shared, context)
    alone = (
        Group(choice.case, choice.pool.interface, (), (choice.pool,), *found[choice.pool.interface])
        for choice in single
    )
    by_gateways = (
        Group(
            key.case,
            key.interface,
            key.gateways,
            tuple(pools),
            *found[key.interface],
            mark=marks[MarkUse(key)],
            table=key.table or table_of(marks[MarkUse(key)], context.declaration.settings),
            request_mark=marks.get(MarkUse(key, is_request=True), 0),
        )
        for key, pools in members.items()
    )
    return (*alone, *by_gateways)
