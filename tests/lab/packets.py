"""Raw packets: build and inject them with any source, capture what arrives at a host; MTU and ping."""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from .host import Host

ETHERNET_IPV4, ETHERNET_ARP, ETHERNET_IPV6, ETHERNET_ALL = 0x0800, 0x0806, 0x86DD, 0x0003
TCP, UDP, ICMP, ICMPV6 = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6
SYN, ACK, RST = 0x02, 0x10, 0x04
_SO_RCVBUFFORCE = 33


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def mac_text(raw: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in raw)


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def checksum6(source: bytes, destination: bytes, protocol: int, data: bytes) -> int:
    """Return the checksum of an IPv6 payload with its pseudo-header (RFC 8200, section 8.1)."""
    return checksum(source + destination + struct.pack("!II", len(data), protocol) + data)


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    return destination + source + struct.pack("!H", kind) + payload


def ip_packet(source: str, destination: str, protocol: int, payload: bytes, hop_limit: int = 64) -> bytes:
    """Return an IPv4 or IPv6 packet. A zero checksum field of a TCP, UDP or ICMP payload is filled in."""
    first, second = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if first.version != second.version:
        raise ValueError(f"source {source} and destination {destination} have different families")
    if first.version == 4:
        pseudo = (
            b"" if protocol == ICMP else first.packed + second.packed + struct.pack("!BBH", 0, protocol, len(payload))
        )
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0x4000, hop_limit, protocol, 0)
        header += first.packed + second.packed
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    else:
        pseudo = first.packed + second.packed + struct.pack("!II", len(payload), protocol)
        header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, hop_limit) + first.packed + second.packed
    offset = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}.get(protocol)
    if offset is not None and payload[offset : offset + 2] == b"\0\0":
        payload = payload[:offset] + struct.pack("!H", checksum(pseudo + payload)) + payload[offset + 2 :]
    return header + payload


def tcp(source: str, destination: str, source_port: int, destination_port: int, flags: int = SYN) -> bytes:
    """Return a TCP packet without data, by default a SYN."""
    segment = struct.pack("!HHIIBBHHH", source_port, destination_port, 1000, 0, 5 << 4, flags, 64000, 0, 0)
    return ip_packet(source, destination, TCP, segment)


def udp(source: str, destination: str, source_port: int, destination_port: int, data: bytes = b"homeward") -> bytes:
    datagram = struct.pack("!HHHH", source_port, destination_port, 8 + len(data), 0) + data
    return ip_packet(source, destination, UDP, datagram)


def icmp_echo(source: str, destination: str, identifier: int = 77, data: bytes = b"homeward") -> bytes:
    """Return an ICMP or ICMPv6 echo request; its identifier appears as Packet.source_port."""
    six = ":" in source
    message = struct.pack("!BBHHH", 128 if six else 8, 0, 0, identifier, 1) + data
    return ip_packet(source, destination, ICMPV6 if six else ICMP, message)


def inject(host: Host, link: str, destination_mac: str, packet: bytes, source_mac: str | None = None) -> None:
    """Send an IP packet on a link of the host, by default from the link's own MAC."""
    kind = ETHERNET_IPV4 if packet[0] >> 4 == 4 else ETHERNET_IPV6

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as handle:
            handle.bind((link, kind))
            source = mac_bytes(source_mac) if source_mac else handle.getsockname()[4]
            handle.send(ethernet(mac_bytes(destination_mac), source, kind, packet))

    host.call(send)


def mac_of(host: Host, link: str) -> str:
    """Return the MAC of a host's link."""

    def read() -> str:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as handle:
            handle.bind((link, 0))
            return mac_text(handle.getsockname()[4])

    return host.call(read)


@dataclass(frozen=True)
class Packet:
    """A captured IP packet. Ports are 0 for protocols without ports; source_port is the identifier of an ICMP echo, flags
    the ICMP type. outgoing: sent by the host itself. length: of the IP packet, in bytes."""

    link: str
    source_mac: str
    outgoing: bool
    source: str
    destination: str
    protocol: int
    source_port: int
    destination_port: int
    flags: int
    length: int


def parse(frame: bytes, link: str, kind: int) -> Packet | None:
    """Return the packet in an Ethernet frame, None if it is not IP. Only first fragments have ports."""
    ethernet_type = struct.unpack_from("!H", frame, 12)[0]
    if ethernet_type == ETHERNET_IPV4 and len(frame) >= 34:
        family, protocol, start = socket.AF_INET, frame[23], 14 + (frame[14] & 15) * 4
        addresses, length = (frame[26:30], frame[30:34]), struct.unpack_from("!H", frame, 16)[0]
    elif ethernet_type == ETHERNET_IPV6 and len(frame) >= 54:
        family, protocol, start = socket.AF_INET6, frame[20], 54
        addresses, length = (frame[22:38], frame[38:54]), 40 + struct.unpack_from("!H", frame, 18)[0]
    else:
        return None
    source_port = destination_port = flags = 0
    if protocol in (TCP, UDP) and len(frame) >= start + 4:
        source_port, destination_port = struct.unpack_from("!HH", frame, start)
        flags = frame[start + 13] if protocol == TCP and len(frame) > start + 13 else 0
    elif protocol in (ICMP, ICMPV6) and len(frame) >= start + 8:
        flags = frame[start]
        source_port = struct.unpack_from("!H", frame, start + 4)[0] if flags in (0, 8, 128, 129) else 0
    return Packet(
        link,
        mac_text(frame[6:12]),
        kind == socket.PACKET_OUTGOING,
        socket.inet_ntop(family, addresses[0]),
        socket.inet_ntop(family, addresses[1]),
        protocol,
        source_port,
        destination_port,
        flags,
        length,
    )


class Sniffer:
    """Captures the IP packets on one link of a host, or on all, until close().

    The socket queues packets when they arrive, so read() after the end of a flow returns all of its packets.
    """

    def __init__(self, host: Host, link: str | None = None, matches: Callable[[Packet], bool] | None = None) -> None:
        self._link, self._matches = link, matches or (lambda _packet: True)
        self.socket = host.call(self._open)
        self.seen: list[Packet] = []

    def _open(self) -> socket.socket:
        # With a protocol, the socket would receive from every link before it is bound to one.
        every_link = socket.htons(ETHERNET_ALL) if self._link is None else 0
        handle = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_link)
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        if self._link is not None:
            handle.bind((self._link, ETHERNET_ALL))
        handle.setblocking(False)
        return handle

    def take(self) -> None:
        """Move received packets from the socket to `seen`."""
        while True:
            try:
                frame, (link, _, kind, *_rest) = self.socket.recvfrom(128)
            except BlockingIOError:
                return
            # frames for other hosts, which a bridge floods until it has learnt the port
            packet = None if kind == socket.PACKET_OTHERHOST else parse(frame, link, kind)
            if packet is not None and self._matches(packet):
                self.seen.append(packet)

    def read(self) -> list[Packet]:
        """Return all packets captured so far."""
        self.take()
        return self.seen

    def wait_for(self, count: int, seconds: float = 2.0) -> list[Packet]:
        """Return the captured packets once there are `count` of them, or after some seconds."""
        deadline = time.monotonic() + seconds
        while len(self.read()) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.seen

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Sniffer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def set_mtu(host: Host, link: str, mtu: int) -> None:
    """Set the MTU of a link. A veth silently drops what exceeds the receiver's MTU, so set both ends."""
    host.run(["ip", "link", "set", link, "mtu", str(mtu)])


def limit_path(router: Host, destination: str, link: str, mtu: int) -> None:
    """Limit the path MTU from a router to a directly connected destination; the router reports larger packets by ICMP.

    Only this direction is limited, and the MTUs of the endpoints' links stay the same.
    """
    router.run(["ip", "route", "replace", destination, "dev", link, "mtu", "lock", str(mtu)])


def ping(host: Host, destination: str, size: int = 56, count: int = 1, fragment: bool = True) -> bool:
    """Whether the destination answers within a second. size: bytes of data. fragment=False sets the don't-fragment flag."""
    command = ["ping", "-n", "-q", "-c", str(count), "-i", "0.05", "-W", "1", "-s", str(size)]
    return host.run([*command, *(() if fragment else ("-M", "do")), destination], check=False).returncode == 0
