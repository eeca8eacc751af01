"""Which nodes answer ARP requests for an address."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from .host import Host
from .namespaces import LabError
from .packets import ETHERNET_ARP, mac_text
from .responder import ARP_REPLY, ARP_REQUEST, BROADCAST, arp


def answers(
    client: Host, link: str, sender: str, expected: Mapping[str, AbstractSet[str]], timeout: float = 20.0
) -> dict[str, set[str]]:
    """Ask for addresses, in order, and return the MACs that answer for each, once all expected MACs have answered.

    A host answers requests in order, and its kernel before its speaker. So unexpected answers for the first address are
    complete when every node has answered for a later one.

    :param sender: IPv4 address of the client.
    :param expected: MACs that answer for each address.
    :param timeout: in seconds.
    :raises LabError: expected answers are missing after the timeout.
    """
    return client.call(lambda: _ask(link, sender, expected, timeout))


def _ask(link: str, sender: str, expected: Mapping[str, AbstractSet[str]], timeout: float) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {address: set() for address in expected}
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERNET_ARP)) as handle:
        handle.bind((link, ETHERNET_ARP))
        own = handle.getsockname()[4]
        for address in expected:
            handle.send(arp(ARP_REQUEST, own, BROADCAST, socket.inet_aton(sender), socket.inet_aton(address)))
        while missing := {
            address: macs - found[address] for address, macs in expected.items() if macs - found[address]
        }:
            handle.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                frame, source = handle.recvfrom(128)
            except TimeoutError:
                raise LabError(f"no ARP reply in {timeout} s: {missing}") from None
            address = socket.inet_ntoa(frame[28:32])
            is_reply = struct.unpack_from("!H", frame, 20)[0] == ARP_REPLY
            if address in found and is_reply and source[2] != socket.PACKET_OUTGOING:
                found[address].add(mac_text(frame[22:28]))
    return found
