# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under IPVS every node has the addresses of all services, but only the announcing node answers ARP requests for them."""

from __future__ import annotations

import pytest
from containers.assertions import TIMEOUT, assert_reached
from containers.lab import ContainerLab

from tests.lab import arp
from tests.lab.packets import mac_of
from tests.lab.topology import NODES


def test_clients_reach_all_services(lab: ContainerLab) -> None:
    """Only clients outside the nodes: the lab has no IPVS that would serve the addresses on the nodes themselves."""
    for client in ("router", "lan"):
        lab.host(client).run(["ip", "neighbour", "flush", "all"])  # entries for the wrong node, from before the role
    assert_reached(lab, ["outside", "lan"])


@pytest.mark.parametrize("announcer", NODES)
def test_only_the_announcer_answers(lab: ContainerLab, announcer: str) -> None:
    macs = {node: mac_of(lab.host(node), "eth0") for node in NODES}
    address = next(service.address for service in lab.services.values() if service.announcer == announcer)
    expected = {address: {macs[announcer]}, **{lab.node_addresses[node]: {macs[node]} for node in NODES}}
    assert arp.answers(lab.host("lan"), "eth0", "192.168.1.50", expected, TIMEOUT)[address] == {macs[announcer]}
