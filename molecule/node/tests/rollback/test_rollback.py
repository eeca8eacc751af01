# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that fails at its last step leaves a node as before."""

from __future__ import annotations

from containers import snapshots
from containers.lab import ContainerLab

from tests.lab import Host


def test_node_is_as_before(lab: ContainerLab, node: Host) -> None:
    difference = snapshots.difference(node, lab.state)
    assert not difference, difference
