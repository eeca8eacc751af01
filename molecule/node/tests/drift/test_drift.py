# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent restores lost state; without the agent the same loss cuts the pool off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from containers.assertions import SERVICE, TIMEOUT, assert_lost, status
from containers.lab import ContainerLab

from tests.lab import Cell, Host
from tests.lab.delivery import assert_delivered
from tests.lab.waiting import wait_until

LOSSES = {
    "rule deleted": "ip -4 rule delete priority 2800",
    "rules flushed": "ip -4 rule flush protocol 77",
    "gateway deleted": "ip -4 route delete default via 1.2.3.1 dev eth0.100 table 7701",
    "table flushed": "ip -4 route flush table 7701",
    "chain flushed": "iptables -t mangle -F HOMEWARD-0x100",
    "jump deleted": "iptables -t mangle -D PREROUTING -d 1.2.3.0/24 -j HOMEWARD-PREROUTING",
    "mangle flushed": "iptables -t mangle -F",
    "link down and up": "ip link set eth0.100 down && ip link set eth0.100 up",
}
#: A service with an endpoint on node1, which announces it.
FROM_OUTSIDE = Cell("outside", "lo-p1")


@pytest.fixture
def node1(lab: ContainerLab) -> Host:
    """Return node1 once it has no drift."""
    node = lab.host("node1")
    _wait_for_no_drift(node)
    return node


@pytest.fixture
def without_agent(node1: Host) -> Iterator[Host]:
    """Return node1 with the agent stopped. Afterwards the agent runs again and has reconciled."""
    node1.run(["systemctl", "stop", SERVICE])
    yield node1
    node1.run(["systemctl", "reset-failed"])
    node1.run(["systemctl", "start", SERVICE])
    _wait_for_no_drift(node1)


def _restored(node: Host) -> int:
    """Return the number of objects that the agent has restored since its start."""
    return sum(status(node)["guard"].get("healed", {}).values())


def _wait_for_no_drift(node: Host, restored: int = 0) -> None:
    """Wait until the node has no drift and the agent has restored at least this many objects."""
    wait_until(lambda: status(node)["right"] and _restored(node) >= restored, lambda: status(node), pause=0.1)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_without_agent_cuts_the_pool_off(lab: ContainerLab, without_agent: Host, loss: str) -> None:
    without_agent.run(LOSSES[loss])
    assert status(without_agent)["right"] is False
    assert_lost(lab, [FROM_OUTSIDE])


@pytest.mark.parametrize("loss", LOSSES)
def test_agent_restores_a_loss(lab: ContainerLab, node1: Host, loss: str) -> None:
    before = _restored(node1)
    node1.run(LOSSES[loss])
    _wait_for_no_drift(node1, restored=before + 1)
    assert_delivered(lab, lab.deliver([FROM_OUTSIDE], timeout=TIMEOUT))
