# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After remove, a node is as it was before the role: its network, its files, its units."""

from __future__ import annotations

from containers import snapshots
from containers.lab import ContainerLab

from tests.lab import Host


def test_nothing_of_ours_is_left(lab: ContainerLab, node: Host) -> None:
    difference = snapshots.difference(node, lab.state)
    assert not difference, difference
