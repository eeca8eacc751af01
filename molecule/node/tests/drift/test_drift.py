# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken from a node is put back; with the service stopped, the same loss cuts the pool off."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from containers.assertions import PATIENCE, assert_lost, assert_reached, status
from containers.lab import ContainerLab

from tests.lab import Cell, Host

SERVICE = "homeward-metallb-routing.service"
LOSSES = {
    "rule deleted": "ip -4 rule delete priority 2800",
    "rules flushed": "ip -4 rule flush protocol 77",
    "gateway deleted": "ip -4 route delete default via 1.2.3.1 dev eth0.100 table 7701",
    "table flushed": "ip -4 route flush table 7701",
    "chain flushed": "iptables -t mangle -F HOMEWARD-0x100",
    "jump deleted": "iptables -t mangle -D PREROUTING -j HOMEWARD-PREROUTING",
    "mangle flushed": "iptables -t mangle -F",
    "link down and up": "ip link set eth0.100 down && ip link set eth0.100 up",
}
#: A service that node1 announces, and whose endpoint is there.
FROM_OUTSIDE = Cell("outside", "lo-p1")
_HEALED_SECONDS = 20.0


@pytest.fixture
def first(lab: ContainerLab) -> Host:
    """Return the node from which things are taken; it starts as declared."""
    node = lab.host("node1")
    _await_right(node)
    return node


@pytest.fixture
def unguarded(first: Host) -> Iterator[Host]:
    """Return the node with its service stopped; afterwards the service runs again, and has put everything back."""
    first.run(["systemctl", "stop", SERVICE])
    yield first
    first.run(["systemctl", "reset-failed"])
    first.run(["systemctl", "start", SERVICE])
    _await_right(first)


def _healed(node: Host) -> int:
    return sum(status(node)["guard"].get("healed", {}).values())


def _await_right(node: Host, healed: int = 0) -> None:
    """Wait until the node is as declared, and the service has put back so many objects at least."""
    deadline = time.monotonic() + _HEALED_SECONDS
    while not (facts := status(node))["right"] or sum(facts["guard"].get("healed", {}).values()) < healed:
        assert time.monotonic() < deadline, facts
        time.sleep(0.1)


@pytest.mark.parametrize("loss", LOSSES)
def test_without_the_service_it_is_lost(lab: ContainerLab, unguarded: Host, loss: str) -> None:
    unguarded.run(LOSSES[loss])
    assert status(unguarded)["right"] is False
    assert_lost(lab, [FROM_OUTSIDE])


@pytest.mark.parametrize("loss", LOSSES)
def test_with_the_service_it_is_put_back(lab: ContainerLab, first: Host, loss: str) -> None:
    before = _healed(first)
    first.run(LOSSES[loss])
    _await_right(first, healed=before + 1)
    assert_reached(lab.deliver([FROM_OUTSIDE], timeout=PATIENCE))
