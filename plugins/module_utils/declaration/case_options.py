# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which options mean something in which case; an option without effect is refused, not ignored.

With ``auto``, a pool without gateways becomes a case that has no use for a table, a mark or ``deny``, so these are
refused there too.
"""

from __future__ import annotations

from ..state.family import FAMILIES
from .addresses import LABELS
from .case_traits import AUTO_CASES, CASES, GATEWAY_OPTIONS, Situation
from .pool_input import PoolInput
from .problems import Problems
from .values import listed


def check_case_options(problems: Problems, entry: PoolInput) -> None:
    """Refuse options that the pool's case has no use for, and the lack of gateways that it needs."""
    pool = entry.pool
    if not entry.sound("case", "gateways"):
        return
    traits = CASES.get(pool.case)
    if traits is not None:
        for option in traits.options_without_effect:
            if getattr(pool, option):
                remedy = f"Leave {option} out, or declare another case."
                problems.add(f"{pool.path}.{option}", f"it has no effect, because {traits.why_without_effect}", remedy)
        if traits.needs_gateway:
            _check_gateway_for_each_family(problems, entry)
    elif not pool.gateways:
        for option in GATEWAY_OPTIONS:
            if getattr(pool, option):
                problem = f"it has no effect, because {pool.path} has no gateways to route replies through"
                problems.add(f"{pool.path}.{option}", problem, f"Add gateways, or leave {option} out.")


def _check_gateway_for_each_family(problems: Problems, entry: PoolInput) -> None:
    pool = entry.pool
    with_gateway = {gateway.family for gateway in entry.gateways}
    for family in FAMILIES:
        networks = [span.text for span in entry.networks if span.family == family]
        if networks and family not in with_gateway:
            label = LABELS[family]
            onlink, attached = (AUTO_CASES[one].name for one in (Situation.NO_GATEWAY, Situation.ALREADY_ROUTED))
            problems.add(
                f"{pool.path}.gateways",
                f"there is no {label} gateway, but case {pool.case} sends replies through one, and {pool.path}.networks"
                f" has {label} ({listed(networks)})",
                f"Add one, or declare these networks as a pool of their own with case {onlink}, or {attached} where"
                " the node is in them.",
            )
