# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection on the nodes of the lab, without Ansible in between, and what its deliveries must be."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.kernel.delivery.count import count
from tests.lab import Cell, Delivery, Host, Lab, LabOptions
from tests.lab.delivery import all_cells, expected_ways
from tests.support.modules import Answer, change
from tests.support.pools import EXTERNAL, declared

PER_NODE = {
    "node1": ("1.2.3.251", "fd00:1:2:3::251"),
    "node2": ("1.2.3.252", "fd00:1:2:3::252"),
}
#: Seconds without progress: for flows that must come through, and for those that must not
PATIENCE, LOST = 8.0, 0.8
_numbers = itertools.count()


def lab_of(**options: Any) -> Lab:
    """Return a lab with a prefix of its own, not yet up."""
    return Lab(LabOptions(prefix=f"homeward-delivery-{os.getpid()}-{next(_numbers)}", **options))


def pool_of(lab: Lab, **changes: Any) -> dict[str, Any]:
    """Return the declaration of the lab's pool, changed as given; what is None is left out."""
    pool = {**EXTERNAL, "interface": lab.options.pool_interface, **changes}
    return {name: value for name, value in pool.items() if value is not None}


def run(node: Host, parameters: Mapping[str, Any]) -> Answer:
    """Run ``pool_routing`` on a node; it must succeed."""
    return change(node, "pool_routing", {"iptables_variant": "auto", **parameters})


def apply(lab: Lab, *pools: Mapping[str, Any], per_node: bool = False, **settings: Any) -> list[Answer]:
    """Make all nodes right for these pools, by default for the lab's own; return an answer per node.

    :param per_node: give each node its own addresses of the first pool.
    :param settings: further parameters of the module.
    """
    first, *rest = pools or (pool_of(lab),)
    answers = []
    for node in lab.nodes:
        own = {"addresses": list(PER_NODE[node.name])} if per_node else {}
        answers.append(run(node, declared({**first, **own}, *rest, **settings)))
    return answers


def remove(lab: Lab) -> None:
    """Take everything of ours off all nodes."""
    for node in lab.nodes:
        run(node, {"state": "absent"})


def try_all(lab: Lab, lost: Callable[[Cell], bool] = lambda _cell: False) -> list[Delivery]:
    """Try every cell: patiently, as machines may be slow, but for those that are expected to be lost."""
    cells = all_cells(lab)
    deliveries = lab.deliver([cell for cell in cells if not lost(cell)], timeout=PATIENCE)
    return [*deliveries, *lab.deliver([cell for cell in cells if lost(cell)], timeout=LOST)]


def wrong(deliveries: Sequence[Delivery], unreached: Sequence[str] = ()) -> list[Delivery]:
    """Return the deliveries that are not as they must be.

    :param unreached: clients that must not reach anything; no reply to them may be seen anywhere.
    """
    return [
        one
        for one in deliveries
        if (one.reached, one.ways)
        != ((False, ()) if one.cell.client in unreached else (True, expected_ways(one.cell.client, one.cell.service)))
    ]


def assert_all_reached(deliveries: Sequence[Delivery], unreached: Sequence[str] = ()) -> None:
    """Assert that every cell is reached, and that replies to clients behind routers went by the pool's router alone."""
    assert deliveries, "nothing was tried"
    found = wrong(deliveries, unreached)
    assert not found, f"{len(found)} of {len(deliveries)} cells: {found[:4]}"
    count(len(deliveries))
