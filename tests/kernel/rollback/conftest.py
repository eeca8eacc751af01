# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of one folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.rollback.controller import controller_of
from tests.kernel.rollback.pending import TIME_IS_UP
from tests.kernel.rollback.world import World
from tests.support.node import Node


@pytest.fixture(autouse=True)
def _time_is_not_up() -> Iterator[None]:
    """Remove what a failed test has left."""
    yield
    Path(TIME_IS_UP).unlink(missing_ok=True)


@pytest.fixture
def world(node: Node) -> Iterator[World]:
    """A node that a controller reaches over its default router."""
    with controller_of(node) as controller:
        yield World(node, controller)
