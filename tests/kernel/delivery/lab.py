# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection on the nodes of the lab, without Ansible in between, and what its deliveries must be."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.kernel.delivery.count import count
from tests.lab import Cell, Delivery, Host, Lab, LabOptions
from tests.lab.delivery import all_cells
from tests.lab.namespaces import CLONE_NEWNET
from tests.lab.services import SECOND
from tests.support.node import Answer, in_child, run_module
from tests.support.playbooks import CLUSTER, POOL

NODE_ADDRESSES = ("192.168.1.11", "192.168.1.12", "fd00:192:168:1::11", "fd00:192:168:1::12")
PER_NODE = {
    "node1": ("1.2.3.251", "fd00:1:2:3::251"),
    "node2": ("1.2.3.252", "fd00:1:2:3::252"),
}
BEHIND_ROUTERS = ("outside", "lan")
#: Seconds without progress: for flows that must come through, and for those that must not
PATIENCE, LOST = 8.0, 0.8
_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def lab_of(**options: Any) -> Lab:
    """Return a lab with a prefix of its own, not yet up."""
    return Lab(LabOptions(prefix=f"homeward-delivery-{os.getpid()}-{next(_numbers)}", **options))


def pool_of(lab: Lab, **changes: Any) -> dict[str, Any]:
    """Return the declaration of the lab's pool, changed as given; what is None is left out."""
    pool = {**POOL, "interface": lab.options.pool_interface, **changes}
    return {name: value for name, value in pool.items() if value is not None}


def run(node: Host, parameters: Mapping[str, Any]) -> Answer:
    """Run ``pool_routing`` on a node; it must succeed."""

    def enter() -> None:
        for kind, flag in (("net", CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
            with Path(f"/proc/{node.holder}/ns/{kind}").open("rb") as handle:
                if _libc.setns(handle.fileno(), flag):
                    raise OSError(ctypes.get_errno(), f"cannot enter {node.name}: {kind}")

    whole = {"iptables_variant": "auto", **parameters, "_ansible_check_mode": False, "_ansible_diff": False}
    answer = in_child(enter, run_module, "pool_routing", whole)
    assert not answer.get("failed"), (node.name, answer["msg"])
    return answer


def apply(lab: Lab, *pools: Mapping[str, Any], per_node: bool = False, **settings: Any) -> list[Answer]:
    """Make all nodes right for these pools, by default for the lab's own; return an answer per node.

    :param per_node: give each node its own addresses of the first pool.
    :param settings: further parameters of the module.
    """
    declared = [dict(pool) for pool in pools] or [pool_of(lab)]
    answers = []
    for node in lab.nodes:
        if per_node:
            declared[0]["addresses"] = list(PER_NODE[node.name])
        cluster = {**CLUSTER, "node_addresses": list(NODE_ADDRESSES)}
        answers.append(run(node, {"pools": declared, "cluster": cluster, **settings}))
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


def right_way(client: str, service: str = "") -> tuple[str, ...]:
    """Return the only way that replies to this client may go."""
    if service.startswith(SECOND):
        return ("second",) if client in (*BEHIND_ROUTERS, "onlink") else ("direct",)
    return ("pool",) if client in BEHIND_ROUTERS else ("direct",)


def wrong(deliveries: Sequence[Delivery], unreached: Sequence[str] = ()) -> list[Delivery]:
    """Return the deliveries that are not as they must be.

    :param unreached: clients that must not reach anything; no reply to them may be seen anywhere.
    """
    return [
        one
        for one in deliveries
        if (one.reached, one.ways)
        != ((False, ()) if one.cell.client in unreached else (True, right_way(one.cell.client, one.cell.service)))
    ]


def assert_all_reached(deliveries: Sequence[Delivery], unreached: Sequence[str] = ()) -> None:
    """Assert that every cell is reached, and that replies to clients behind routers went by the pool's router alone."""
    assert deliveries, "nothing was tried"
    found = wrong(deliveries, unreached)
    assert not found, f"{len(found)} of {len(deliveries)} cells: {found[:4]}"
    count(len(deliveries))
