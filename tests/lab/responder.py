"""A substitute for MetalLB's speaker in layer 2 mode: answers ARP requests and neighbour solicitations.

Like the speaker it answers with the MAC of the link, from raw frames and without an address on the link. Its sockets
receive from every link of the node and compare the link's name, so the link may be missing at the start or be recreated.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable

from .packets import ETHERNET_ARP, ETHERNET_IPV6, checksum6, ethernet, mac_bytes

_SIOCGIFHWADDR = 0x8927
BROADCAST = b"\xff" * 6
ARP_REQUEST, ARP_REPLY = 1, 2
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed


class Responder:
    """Answers on one link of a node. Create it in the node's namespace; call answer_all() when a socket is readable."""

    def __init__(self, link: str) -> None:
        self.link = link
        self.addresses: frozenset[bytes] = frozenset()
        self.sockets = [
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
            for protocol in (ETHERNET_ARP, ETHERNET_IPV6)
        ]
        for handle in self.sockets:
            handle.setblocking(False)
        # An ioctl acts in the namespace of its socket, not of its caller
        self._query = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def announce(self, addresses: Iterable[str]) -> None:
        """Replace the announced addresses, and send unsolicited announcements of new ones."""
        packed = frozenset(ipaddress.ip_address(address).packed for address in addresses)
        new, self.addresses = packed - self.addresses, packed
        try:
            own = self._mac()
        except OSError:
            return  # the link does not exist
        for address in sorted(new):
            for frame in unsolicited(own, address):
                self._send(frame)

    def answer_all(self, handle: socket.socket) -> None:
        """Answer all received requests."""
        while True:
            try:
                frame, (link, _, kind, *_rest) = handle.recvfrom(2048)
            except (BlockingIOError, OSError):
                return
            if link != self.link or kind == socket.PACKET_OUTGOING:
                continue
            answer = self._answer(frame)
            if answer is not None:
                self._send(answer)

    def _answer(self, frame: bytes) -> bytes | None:
        kind = struct.unpack_from("!H", frame, 12)[0]
        if kind == ETHERNET_ARP and len(frame) >= 42:
            operation = struct.unpack_from("!H", frame, 20)[0]
            if operation == ARP_REQUEST and frame[38:42] in self.addresses:
                return arp(ARP_REPLY, self._mac(), frame[22:28], frame[38:42], frame[28:32])
        solicitation = (socket.IPPROTO_ICMPV6, _NEIGHBOUR_SOLICITATION)
        if kind == ETHERNET_IPV6 and len(frame) >= 78 and (frame[20], frame[54]) == solicitation:
            return self._advertise(frame[62:78], (frame[6:12], frame[22:38]))
        return None

    def _advertise(self, target: bytes, asker: tuple[bytes, bytes]) -> bytes | None:
        return advertisement(self._mac(), target, asker) if target in self.addresses else None

    def _mac(self) -> bytes:
        request = fcntl.ioctl(self._query, _SIOCGIFHWADDR, struct.pack("256s", self.link.encode()))
        return request[18:24]

    def _send(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # the link is down or gone
            self.sockets[0].sendto(frame, (self.link, 0))


def unsolicited(own: bytes, address: bytes) -> list[bytes]:
    """Return the frames that announce a new address: for IPv4 a request and a reply, as MetalLB sends.

    Linux accepts the request immediately, an unsolicited reply only once its neighbour entry is a second old.
    """
    if len(address) == 16:
        return [advertisement(own, address, None)]
    return [arp(operation, own, BROADCAST, address, address) for operation in (ARP_REQUEST, ARP_REPLY)]


def arp(operation: int, own: bytes, target: bytes, address: bytes, target_address: bytes) -> bytes:
    """Return an ARP frame with sender `address` at MAC `own`."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + own + address + target + target_address
    return ethernet(target, own, ETHERNET_ARP, body)


def advertisement(own: bytes, target: bytes, asker: tuple[bytes, bytes] | None) -> bytes:
    """Return a neighbour advertisement from the MAC's link-local address, to the asker or to all nodes."""
    source = b"\xfe\x80" + b"\0" * 6 + bytes((own[0] ^ 2, own[1], own[2], 0xFF, 0xFE, own[3], own[4], own[5]))
    if asker is None or not any(asker[1]):
        asker_mac, destination, flags = mac_bytes("33:33:00:00:00:01"), _ALL_NODES, _OVERRIDE
    else:
        (asker_mac, destination), flags = asker, _SOLICITED | _OVERRIDE
    message = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, flags) + target + b"\x02\x01" + own
    checksum = checksum6(source, destination, socket.IPPROTO_ICMPV6, message)
    message = message[:2] + struct.pack("!H", checksum) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255) + source + destination
    return ethernet(asker_mac, own, ETHERNET_IPV6, header + message)
