# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of the kernel tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.agent import keep
from tests.support.namespace import Namespace
from tests.support.node import EngineNode


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace where eth0 (10.0.0.1/16, fd00::1/64) is up, its other end peer0 too."""
    with Namespace("homeward-kernel") as made:
        made.ip("link add eth0 type veth peer name peer0", "link set eth0 up", "link set peer0 up")
        made.ip("address add 10.0.0.1/16 dev eth0", "address add fd00::1/64 dev eth0 nodad")
        yield made


@pytest.fixture
def node() -> Iterator[EngineNode]:
    """A node without traffic, as its distribution leaves it."""
    with EngineNode() as made:
        yield made


@pytest.fixture
def kept(node: EngineNode) -> None:
    """The node has a pool, and on it what keeps that so: ask for it with ``usefixtures``."""
    keep(node.host)
