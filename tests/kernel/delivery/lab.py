# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection on the nodes of the lab, run without Ansible, and the deliveries that it must lead to."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.lab import Cell, Delivery, Host, Lab, LabOptions
from tests.lab.delivery import BEHIND_ROUTERS, all_cells, assert_delivered, assert_refused, refused_cells
from tests.support.modules import Answer, change
from tests.support.pools import EXTERNAL, declared

PER_NODE = {
    "node1": ("1.2.3.251", "fd00:1:2:3::251"),
    "node2": ("1.2.3.252", "fd00:1:2:3::252"),
}
#: Seconds without progress, for flows that must be delivered and for flows that must not
TIMEOUT, LOST_TIMEOUT = 8.0, 0.8
#: How many cells were delivered as they must be, per matrix
delivered: list[int] = []
#: Cells of the matrix of one pool
CELLS = 256
_numbers = itertools.count()


def lab_of(**options: Any) -> Lab:
    """Return a lab with a prefix of its own, not started."""
    return Lab(LabOptions(prefix=f"homeward-delivery-{os.getpid()}-{next(_numbers)}", **options))


def pool_of(lab: Lab, **changes: Any) -> dict[str, Any]:
    """Return the declaration of the lab's pool with these changes; options that are None are removed."""
    pool = {**EXTERNAL, "interface": lab.options.pool_interface, **changes}
    return {name: value for name, value in pool.items() if value is not None}


def run(node: Host, parameters: Mapping[str, Any]) -> Answer:
    """Run ``pool_routing`` on a node; it must succeed."""
    return change(node, "pool_routing", {"iptables_variant": "auto", **parameters})


def apply(lab: Lab, *pools: Mapping[str, Any], per_node: bool = False, **settings: Any) -> list[Answer]:
    """Apply these pools, by default the lab's own, on all nodes; return an answer per node.

    :param per_node: each node has addresses of the first pool.
    :param settings: further parameters of the module.
    """
    first, *rest = pools or (pool_of(lab),)
    answers = []
    for node in lab.nodes:
        own = {"addresses": list(PER_NODE[node.name])} if per_node else {}
        answers.append(run(node, declared({**first, **own}, *rest, **settings)))
    return answers


def remove(lab: Lab) -> None:
    """Remove everything managed from all nodes."""
    for node in lab.nodes:
        run(node, {"state": "absent"})


def try_all(lab: Lab, lost: Callable[[Cell], bool] = lambda _cell: False) -> list[Delivery]:
    """Try every cell, with a short timeout for those that are expected to be lost."""
    cells = all_cells(lab)
    deliveries = lab.deliver([cell for cell in cells if not lost(cell)], timeout=TIMEOUT)
    return [*deliveries, *lab.deliver([cell for cell in cells if lost(cell)], timeout=LOST_TIMEOUT)]


def assert_all_reached(lab: Lab, deliveries: Sequence[Delivery], denied: Sequence[str] = ()) -> None:
    """Assert that every cell is reached and all replies took the expected path, and count the cells.

    :param denied: clients that must reach nothing; no reply to them may be seen anywhere.
    """
    assert_delivered(lab, [one for one in deliveries if one.cell.client not in denied])
    wrong = [one for one in deliveries if one.cell.client in denied and (one.reached or one.ways)]
    assert not wrong, wrong[:4]
    count(deliveries)


def assert_matrix(lab: Lab, denied: Sequence[str] = ()) -> None:
    """Try the whole matrix of a lab: 8 clients, 13 services per pool, TCP and UDP, IPv6 where the service has it."""
    deliveries = try_all(lab, lambda cell: cell.client in denied)
    assert len(deliveries) == CELLS * (2 if lab.options.second_pool else 1)
    assert_all_reached(lab, deliveries, denied)
    assert_refused_everywhere(lab, lambda cell: cell.client in denied)


def assert_refused_everywhere(lab: Lab, lost: Callable[[Cell], bool]) -> None:
    """Assert that kube-proxy's refusals reach the clients of services without endpoints.

    Without TCP over IPv6, which takes a second longer and differs in nothing that the collection does. The source of IPv4
    errors is the node's address on the LAN, so a strict router of the pool drops them.
    """
    strict = lab.options.strict_pool_router
    cells = [
        cell
        for cell in refused_cells(lab)
        if (cell.protocol, cell.family) != ("tcp", 6)
        and not (strict and cell.family == 4 and cell.client in BEHIND_ROUTERS)
        and not lost(cell)
    ]
    if cells:
        assert_refused(lab.deliver(cells, timeout=TIMEOUT))


def count(deliveries: Sequence[Delivery]) -> None:
    """Count the cells of one matrix for the summary of the test run."""
    delivered.append(len(deliveries))
