# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every client reaches the pool; packets with forged sources are dropped."""

from __future__ import annotations

import pytest
from containers.assertions import assert_reached
from containers.lab import ContainerLab

from tests.lab import packets

FORGED = {"pod": "10.112.2.20", "service": "10.96.0.11", "node": "192.168.1.12"}


def test_all_clients_reach_all_services(lab: ContainerLab) -> None:
    assert_reached(lab)


@pytest.mark.parametrize("kind", FORGED)
def test_forged_sources_are_dropped(lab: ContainerLab, kind: str) -> None:
    """A valid packet, sent after the forged one, arrives; so the forged one would have arrived before."""
    mac = packets.mac_of(lab.host("node1"), "eth0.100")
    port = 5600 + list(FORGED).index(kind)
    with packets.Sniffer(lab.host("server1"), "eth0", lambda seen: seen.source_port == port) as sniffer:
        for source in (FORGED[kind], "203.0.113.99"):
            packets.inject(lab.host("poolrouter"), "pool", mac, packets.udp(source, "1.2.3.7", port, 80))
        assert [one.source for one in sniffer.wait_for(1)] == ["203.0.113.99"]
