# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers for an address."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

from tests.lab import Lab
from tests.lab.packets import ETHERNET_ARP, mac_text
from tests.lab.responder import arp

_BROADCAST = b"\xff" * 6
_REQUEST, _REPLY = 1, 2
_SECONDS = 20.0


def answers(lab: Lab, service: str) -> set[str]:
    """Return the MACs of all that answer the on-link client's question for the service's address.

    Nodes answer in the order of the questions, and the kernel before the speaker. So a second question, for an address
    that the node announces, ends the wait: once its answer is there, that to the first is there or does not come.
    """
    asked = lab.services[service]
    last = {next(one.address for one in lab.services.values() if one.announcer == node) for node in lab.node_addresses}
    questions = [asked.address, *sorted(last - {asked.address})]
    return lab.host("onlink").call(lambda: _ask(questions, asked.address))


def _ask(addresses: list[str], wanted: str) -> set[str]:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERNET_ARP)) as handle:
        handle.bind(("eth0", ETHERNET_ARP))
        own = handle.getsockname()[4]
        for address in addresses:
            handle.send(arp(_REQUEST, own, _BROADCAST, socket.inet_aton("1.2.3.50"), socket.inet_aton(address)))
        unanswered, found = set(addresses), set[str]()
        for address, mac in _replies(handle):
            unanswered.discard(address)
            if address == wanted:
                found.add(mac)
            if not unanswered:
                return found
    raise AssertionError(f"nobody answered for {', '.join(sorted(unanswered))} in {_SECONDS} s")


def _replies(handle: socket.socket) -> Iterator[tuple[str, str]]:
    deadline = time.monotonic() + _SECONDS
    while (left := deadline - time.monotonic()) > 0:
        handle.settimeout(left)
        try:
            frame, address = handle.recvfrom(128)
        except TimeoutError:
            return
        if address[2] != socket.PACKET_OUTGOING and struct.unpack_from("!H", frame, 20)[0] == _REPLY:
            yield socket.inet_ntoa(frame[28:32]), mac_text(frame[22:28])
