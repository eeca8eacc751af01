# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand pools on a node, compared with ``ip -batch`` and ``iptables-restore``: ``python -m bench.scale_bench``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.engine import Run, converge_pools
from bench.measure import Cost, by_turns, compare, cost_of_call, heading, say
from bench.scale import batch_of, clear, create_links, dump, parameters
from tests.support.namespace import Namespace

LINKS, POOLS_PER_LINK = 100, 10
APPLY_TARGET = "<= 4, aim 2"
NO_CHANGE_TARGET = "<= 4"


def _converge(values: dict[str, Any], *, changes: bool) -> Callable[[], None]:
    def converge() -> None:
        if converge_pools(values, Run())["changed"] is not changes:
            raise RuntimeError(f"changed should have been {changes}")

    return converge


def measure(rounds: int) -> tuple[int, dict[str, Cost], dict[str, Cost]]:
    """Return the number of objects, the costs of creating all of them, and of a run that changes nothing."""
    values = parameters(LINKS, POOLS_PER_LINK)
    batch = batch_of(converge_pools(values, Run(check=True))["commands"])
    converge, absent = _converge(values, changes=True), {**values, "state": "absent"}

    def apply() -> Cost:
        cost = cost_of_call(converge)
        converge_pools(absent, Run())
        return cost

    def native() -> Cost:
        cost = cost_of_call(batch.run)
        clear()
        return cost

    applied = by_turns({"collection": apply, "native": native}, rounds)
    converge()
    unchanged = _converge(values, changes=False)
    read = by_turns({"collection": lambda: cost_of_call(unchanged), "native": lambda: cost_of_call(dump)}, rounds)
    return batch.objects, applied, read


def main() -> None:
    """Measure in a new namespace."""
    rounds = 3 if "--quick" in sys.argv else 11
    heading(f"{LINKS * POOLS_PER_LINK} pools in both families on {LINKS} links, inside the node; {rounds} rounds")
    with Namespace("homeward-bench") as namespace:
        create_links(namespace, LINKS)
        objects, applied, read = namespace.call(measure, rounds)
    say(f"{objects} lines for ip -batch, iptables-restore and sysctl")
    compare("apply / ip -batch, iptables-restore, sysctl", applied["collection"], applied["native"], APPLY_TARGET)
    compare("nothing to do / ip -j of everything, iptables-save", read["collection"], read["native"], NO_CHANGE_TARGET)


if __name__ == "__main__":
    main()
