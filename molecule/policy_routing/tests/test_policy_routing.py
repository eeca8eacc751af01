# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everybody reaches the pool, forged sources do not."""

from __future__ import annotations

import pytest
from containers.assertions import PATIENCE, assert_reached
from containers.lab import ContainerLab

from tests.lab import packets
from tests.lab.delivery import all_cells

FORGED = {"pod": "10.112.2.20", "service": "10.96.0.11", "node": "192.168.1.12"}


def test_everybody_reaches_everything(lab: ContainerLab) -> None:
    assert_reached(lab.deliver(all_cells(lab), timeout=PATIENCE))


@pytest.mark.parametrize("kind", FORGED)
def test_forged_sources_are_stopped(lab: ContainerLab, kind: str) -> None:
    """The honest packet sent after the forged one arrives, so the forged one would have been seen before it."""
    mac = packets.mac_of(lab.host("node1"), "eth0.100")
    port = 5600 + list(FORGED).index(kind)
    with packets.Sniffer(lab.host("server1"), "eth0", lambda seen: seen.source_port == port) as sniffer:
        for source in (FORGED[kind], "203.0.113.99"):
            packets.inject(lab.host("poolrouter"), "pool", mac, packets.udp(source, "1.2.3.7", port, 80))
        assert [one.source for one in sniffer.wait_for(1)] == ["203.0.113.99"]
