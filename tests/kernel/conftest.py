# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of the kernel tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import delivered
from tests.support.agent import persist
from tests.support.namespace import Namespace
from tests.support.node import Node


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace where eth0 (10.0.0.1/16, fd00::1/64) is up, its other end peer0 too.

    The links have no link-local addresses, whose routes would appear once DAD has finished, so in the middle of a test.
    """
    with Namespace("homeward-kernel") as made:
        made.ip("link add eth0 type veth peer name peer0")
        made.ip(*(f"link set {name} {change}" for change in ("addrgenmode none", "up") for name in ("eth0", "peer0")))
        made.ip("address add 10.0.0.1/16 dev eth0", "address add fd00::1/64 dev eth0 nodad")
        yield made


@pytest.fixture
def node() -> Iterator[Node]:
    """A node without traffic, as its distribution leaves it."""
    with Node() as made:
        yield made


@pytest.fixture
def persisted(node: Node) -> None:
    """A pool is applied on the node, and the agent is installed: ask for it with ``usefixtures``."""
    persist(node.host)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cells of the delivery matrix were tried with real traffic."""
    if delivered:
        terminalreporter.write_line(f"delivery: {sum(delivered)} cells in {len(delivered)} runs, each as it must be")
