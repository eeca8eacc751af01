# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool is in the nodes' subnet: every client reaches it through the default router, and the node is unchanged."""

from __future__ import annotations

from containers import snapshots
from containers.assertions import STATE_FOLDER, assert_reached, debian_release
from containers.lab import ContainerLab

from tests.lab import Host


def test_all_clients_reach_all_services(lab: ContainerLab) -> None:
    assert_reached(lab)


def test_node_is_as_before(lab: ContainerLab, node: Host) -> None:
    """Except for the tables of pyroute2, on nodes that lack it."""
    difference = snapshots.difference(node, lab.state, ignored=f"{STATE_FOLDER}/")
    assert not difference, difference
    assert (node.run(["test", "-d", STATE_FOLDER], check=False).returncode == 0) == (debian_release(node) < 12)
