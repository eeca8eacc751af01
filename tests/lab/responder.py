"""Answers to ARP requests and neighbour solicitations on one link, from the sockets that MetalLB's speaker has.

ARP is answered from a packet socket on the link, so below IP: no route is needed. Neighbour solicitations are answered
from an ICMPv6 socket that is bound to the link-local address: the kernel looks up a route over the link to the asker, and
delivers solicitations to the socket only for groups that it has joined. See internal/layer2/arp.go and ndp.go of MetalLB,
and github.com/mdlayher/ndp.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Callable

from .link_table import SeenLink
from .packets import ETHERNET_ARP, ethernet, mac_bytes

BROADCAST = b"\xff" * 6
ARP_REQUEST, ARP_REPLY = 1, 2
_NEIGHBOUR_SOLICITATION, _NEIGHBOUR_ADVERTISEMENT = 135, 136
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2
_ALL_NODES = "ff02::1"
_HOP_LIMIT = 255
_Owns = Callable[[str], bool]


class ArpResponder:
    """Answers ARP requests on a link. Create it in the node's namespace; call answer() when its socket is readable.

    owns: whether an address is announced now.
    """

    def __init__(self, link: SeenLink, owns: _Owns) -> None:
        self.link, self._owns, self._mac = link, owns, mac_bytes(link.mac)
        # Without a protocol: the socket would receive from every link before it is bound to one
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setblocking(False)
        self.socket.bind((link.name, ETHERNET_ARP))

    def answer(self) -> None:
        """Answer one received request. Raises OSError."""
        frame, source = self.socket.recvfrom(2048)
        if source[2] == socket.PACKET_OUTGOING or len(frame) < 42 or frame[:6] not in (BROADCAST, self._mac):
            return
        operation = struct.unpack_from("!H", frame, 20)[0]
        if operation == ARP_REQUEST and self._owns(socket.inet_ntoa(frame[38:42])):
            self.socket.send(arp(ARP_REPLY, self._mac, frame[22:28], frame[38:42], frame[28:32]))

    def announce(self, address: str) -> None:
        """Send the unsolicited request and reply. Raises OSError."""
        packed = socket.inet_aton(address)
        for operation in (ARP_REQUEST, ARP_REPLY):
            self.socket.send(arp(operation, self._mac, BROADCAST, packed, packed))


class NdpResponder:
    """Answers neighbour solicitations on a link. Create it in the node's namespace; call answer() when its socket is readable.

    It receives solicitations to the groups of watched addresses only. owns: whether an address is announced now.
    """

    def __init__(self, link: SeenLink, owns: _Owns) -> None:
        assert link.link_local is not None
        self.link, self._owns = link, owns
        self._own = socket.inet_pton(socket.AF_INET6, link.link_local)
        self._groups: Counter[bytes] = Counter()
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.socket.setblocking(False)
        try:
            self.socket.bind((link.link_local, 0, 0, link.index))
        except OSError:
            self.socket.close()
            raise

    def watch(self, address: str) -> None:
        """Join the solicited-node group of an address, unless another address is in it. Raises OSError."""
        group = solicited_node_group(address)
        if not self._groups[group]:
            self._membership(socket.IPV6_JOIN_GROUP, group)
        self._groups[group] += 1

    def unwatch(self, address: str) -> None:
        """Leave the group with its last address. Raises OSError, also for a group that this socket has not joined."""
        group = solicited_node_group(address)
        self._groups[group] -= 1
        if not self._groups[group]:
            self._membership(socket.IPV6_LEAVE_GROUP, group)

    def _membership(self, option: int, group: bytes) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, option, group + struct.pack("@I", self.link.index))

    def answer(self) -> None:
        """Answer one received solicitation. Raises OSError, for example if no route over the link leads to the asker."""
        message, source = self.socket.recvfrom(2048)
        asker = source[0].partition("%")[0]
        if len(message) < 24 or message[0] != _NEIGHBOUR_SOLICITATION or asker == self.link.link_local:
            return
        target = socket.inet_ntop(socket.AF_INET6, message[8:24])
        if _has_option(message[24:], _SOURCE_LINK_LAYER) and self._owns(target):
            self._advertise(asker, target, _SOLICITED)

    def announce(self, address: str) -> None:
        """Send the unsolicited advertisement to all nodes. Raises OSError."""
        self._advertise(_ALL_NODES, address, _OVERRIDE)

    def _advertise(self, destination: str, target: str, flags: int) -> None:
        message = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, flags)
        message += socket.inet_pton(socket.AF_INET6, target)
        message += bytes((_TARGET_LINK_LAYER, 1)) + mac_bytes(self.link.mac)
        control = [
            (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, struct.pack("@i", _HOP_LIMIT)),
            (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, self._own + struct.pack("@I", self.link.index)),
        ]
        try:
            self.socket.sendmsg([message], control, 0, (destination, 0, 0, self.link.index))
        except OSError as error:
            raise OSError(error.errno, f"advertise {target} to {destination}: {error.strerror}") from error


def solicited_node_group(address: str) -> bytes:
    """Return the packed solicited-node multicast address (RFC 4291, section 2.7.1)."""
    return ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + ipaddress.IPv6Address(address).packed[13:]


def _has_option(options: bytes, kind: int) -> bool:
    while len(options) >= 8 and options[1]:
        if options[0] == kind:
            return True
        options = options[options[1] * 8 :]
    return False


def arp(operation: int, own: bytes, target: bytes, address: bytes, target_address: bytes) -> bytes:
    """Return an ARP frame with sender `address` at MAC `own`."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + own + address + target + target_address
    return ethernet(target, own, ETHERNET_ARP, body)
