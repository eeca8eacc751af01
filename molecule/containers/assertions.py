# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assertions and facts about nodes that the scenarios share."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from tests.lab import Cell, Host
from tests.lab.delivery import all_cells, assert_delivered

from .lab import ContainerLab

STATE_FOLDER = "/var/lib/homeward.metallb_routing"
COMMAND = f"{STATE_FOLDER}/metallb-routing"
SERVICE = "homeward-metallb-routing.service"
#: Seconds without progress after which a flow counts as lost: where flows must arrive, and where they must not.
TIMEOUT, LOST_TIMEOUT = float(os.environ.get("FLOW_TIMEOUT", "8")), 0.8


def assert_reached(lab: ContainerLab, clients: list[str] | None = None) -> None:
    """Assert that these clients (default: all) reach every service and that replies take the expected path."""
    assert_delivered(lab, lab.deliver(all_cells(lab, clients=clients), timeout=TIMEOUT))


def assert_lost(lab: ContainerLab, cells: Sequence[Cell]) -> None:
    """Assert that none of these cells is reached."""
    assert cells, "no cell was tried"
    for one in lab.deliver(cells, timeout=LOST_TIMEOUT):
        assert not one.reached, one


def status(node: Host) -> dict[str, Any]:
    """Return the output of `metallb-routing status --json` on a node."""
    facts: dict[str, Any] = json.loads(node.run([COMMAND, "status", "--json"], check=False).stdout)
    return facts


def debian_release(node: Host) -> int:
    """Return the node's Debian release, for example 12."""
    return int(re.findall(r'VERSION_ID="(\d+)"', node.output(["cat", "/etc/os-release"]))[0])
