# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that fails at its last step leaves a node as before, except for the copy of pyroute2."""

from __future__ import annotations

from containers import snapshots
from containers.assertions import STATE_FOLDER, debian_release
from containers.lab import ContainerLab

from tests.lab import Host


def test_node_is_as_before(lab: ContainerLab, node: Host) -> None:
    difference = snapshots.difference(node, lab.state, ignored=f"{STATE_FOLDER}/")
    assert not difference, difference


def test_only_pyroute2_is_left(node: Host) -> None:
    left = node.run(["ls", "-A", STATE_FOLDER], check=False).stdout.split()
    assert left == (["python"] if debian_release(node) < 12 else [])
