# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deliveries and nodes must be like, in the words of pytest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from tests.lab import Cell, Delivery, Host
from tests.lab.delivery import table

from .lab import ContainerLab

LIBRARY = "/var/lib/homeward.metallb_routing"
COMMAND = f"{LIBRARY}/metallb-routing"
BEHIND_ROUTERS = ("outside", "lan")
#: Seconds without progress: for flows that must come through on a busy machine, and for those that must not.
PATIENCE, LOST = float(os.environ.get("FLOW_PATIENCE", "8")), 0.8


def assert_reached(deliveries: Sequence[Delivery], behind_routers: str = "pool") -> None:
    """Assert that every cell was reached, with replies to clients behind routers by this one alone, to others directly."""
    assert deliveries, "nothing was tried"
    for one in deliveries:
        way = behind_routers if one.cell.client in BEHIND_ROUTERS else "direct"
        assert (one.reached, one.ways) == (True, (way,)), f"{one}\n\n{table(list(deliveries))}"


def assert_lost(lab: ContainerLab, cells: Sequence[Cell]) -> None:
    """Assert that none of these cells is reached."""
    assert cells, "nothing was tried"
    for one in lab.deliver(cells, timeout=LOST):
        assert not one.reached, one


def status(node: Host) -> dict[str, Any]:
    """Return what `metallb-routing status --json` tells on a node."""
    facts: dict[str, Any] = json.loads(node.run([COMMAND, "status", "--json"], check=False).stdout)
    return facts


def release(node: Host) -> int:
    """Return the node's Debian release, 12 say."""
    return int(re.findall(r'VERSION_ID="(\d+)"', node.output(["cat", "/etc/os-release"]))[0])
