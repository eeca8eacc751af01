# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Under IPVS every node has every service's address, and still only the announcing one answers for it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Mapping

import pytest
from containers.assertions import PATIENCE, assert_reached
from containers.lab import ContainerLab

from tests.lab import Host
from tests.lab.delivery import all_cells
from tests.lab.packets import ETHERNET_ARP, ethernet, mac_of, mac_text
from tests.lab.topology import NODES

BROADCAST = b"\xff" * 6


def test_clients_reach_everything(lab: ContainerLab) -> None:
    """Those beside and outside of the cluster: here no masquerading of IPVS serves the nodes, which have the addresses."""
    for asking in ("router", "lan"):
        lab.host(asking).run(["ip", "neighbour", "flush", "all"])  # what the wrong node answered before the role
    for client, way in (("outside", "default"), ("lan", "direct")):
        assert_reached(lab.deliver(all_cells(lab, clients=[client]), timeout=PATIENCE), behind_routers=way)


@pytest.mark.parametrize("announcer", NODES)
def test_only_the_announcer_answers(lab: ContainerLab, announcer: str) -> None:
    """A node answers in order: what it says of its own address is the last, and the announcer's speaker is waited for."""
    macs = {node: mac_of(lab.host(node), "eth0") for node in NODES}
    address = next(service.address for service in lab.services.values() if service.announcer == announcer)
    last = {lab.node_addresses[node]: {macs[node]} for node in NODES}
    answers = _ask(lab.host("lan"), [address, *last], {address: {macs[announcer]}, **last})
    assert answers[address] == {macs[announcer]}


def _ask(client: Host, addresses: Iterable[str], awaited: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Ask who has these addresses, in this order; return who said so, once all that are awaited have."""

    def ask() -> dict[str, set[str]]:
        answers: dict[str, set[str]] = {address: set() for address in addresses}
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERNET_ARP)) as handle:
            handle.bind(("eth0", ETHERNET_ARP))
            handle.settimeout(0.1)
            own = handle.getsockname()[4]
            for address in addresses:
                handle.send(_question(own, "192.168.1.50", address))
            deadline = time.monotonic() + PATIENCE
            while any(awaited[address] - answers[address] for address in awaited) and time.monotonic() < deadline:
                try:
                    frame = handle.recv(128)
                except TimeoutError:
                    continue
                if struct.unpack_from("!H", frame, 20)[0] == 2:  # an answer
                    answers.setdefault(socket.inet_ntoa(frame[28:32]), set()).add(mac_text(frame[22:28]))
        return answers

    return client.call(ask)


def _question(own: bytes, sender: str, target: str) -> bytes:
    addresses = (socket.inet_aton(sender), socket.inet_aton(target))
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + addresses[0] + bytes(6) + addresses[1]
    return ethernet(BROADCAST, own, ETHERNET_ARP, body)
