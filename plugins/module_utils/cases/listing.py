# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The case of each pool as plain data: for the result of a module, and for the state file."""

from __future__ import annotations

from typing import Any

from .model import Compiled

Listed = dict[str, Any]


def listed_cases(compiled: Compiled) -> list[Listed]:
    """Return the case of each pool as a module returns it."""
    groups = {pool.path: group for group in compiled.groups for pool in group.pools}
    cases = []
    for choice in compiled.choices:
        case: Listed = {
            "pool": choice.pool.name,
            "case": choice.case,
            "reason": choice.reason,
            "interface": choice.pool.interface,
        }
        group = groups[choice.pool.path]
        if group.traits.uses_marks:
            case.update(
                table=group.table, mark=group.mark, dedicated=not group.shared, dedicated_reason=group.sharing_reason
            )
        cases.append(case)
    return cases


def saved_cases(compiled: Compiled) -> tuple[Listed, ...]:
    """Return the same for the state file, with what questions about the pools need.

    Evidence that a link is shared may differ from run to run, for example the peer of the connection, and is left out: the file
    must not change with it.
    """
    pools = {choice.pool.name: choice.pool for choice in compiled.choices}
    return tuple(
        {
            **{name: value for name, value in case.items() if name != "dedicated_reason"},
            "networks": list(pools[case["pool"]].networks),
            "gateways": list(pools[case["pool"]].gateways),
        }
        for case in listed_cases(compiled)
    )
