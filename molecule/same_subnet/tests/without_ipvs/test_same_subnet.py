# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool is in the nodes' own subnet: everybody reaches it by the default router, and nothing is changed."""

from __future__ import annotations

from containers import snapshots
from containers.assertions import LIBRARY, PATIENCE, assert_reached, release
from containers.lab import ContainerLab

from tests.lab import Host
from tests.lab.delivery import all_cells


def test_everybody_reaches_everything(lab: ContainerLab) -> None:
    cells = all_cells(lab)
    outside = [cell for cell in cells if cell.client == "outside"]
    assert_reached(lab.deliver(outside, timeout=PATIENCE), behind_routers="default")
    neighbours = [cell for cell in cells if cell.client != "outside"]
    assert_reached(lab.deliver(neighbours, timeout=PATIENCE), behind_routers="direct")


def test_node_is_as_before(lab: ContainerLab, node: Host) -> None:
    """But for the copy of pyroute2, where the node needs one to be looked at."""
    difference = snapshots.difference(node, lab.state, beside=f"{LIBRARY}/")
    assert not difference, difference
    assert (node.run(["test", "-d", LIBRARY], check=False).returncode == 0) == (release(node) < 12)
