"""Links of a network namespace, as rtnetlink lists them."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .packets import mac_text

# linux/rtnetlink.h, linux/netlink.h, linux/if_link.h, linux/if_addr.h, linux/if.h
_GET_LINK, _GET_ADDRESS, _DONE, _DUMP_REQUEST = 18, 22, 3, 0x301
_MAC, _NAME, _MASTER, _LOCAL_ADDRESS = 1, 3, 10, 1
_UP, _BROADCAST, _NO_ARP, _TENTATIVE = 0x1, 0x2, 0x80, 0x40


@dataclass(frozen=True)
class SeenLink:
    """link_local: its first link-local IPv6 address that can be used, None if it has none."""

    index: int
    name: str
    mac: str
    up: bool
    broadcast: bool
    has_arp: bool
    has_master: bool
    link_local: str | None


def read() -> list[SeenLink]:
    """Return the links of the calling thread's network namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as handle:
        usable: dict[int, str] = {}
        for body in _dump(handle, _GET_ADDRESS, struct.pack("BBBBI", socket.AF_INET6, 0, 0, 0, 0)):
            _family, _length, flags, _scope, index = struct.unpack_from("BBBBI", body)
            address = ipaddress.IPv6Address(_attributes(body, 8)[_LOCAL_ADDRESS])
            if address.is_link_local and not flags & _TENTATIVE:
                usable.setdefault(index, str(address))
        return [_link(body, usable) for body in _dump(handle, _GET_LINK, bytes(16))]


def _link(body: bytes, usable: dict[int, str]) -> SeenLink:
    _family, _kind, index, flags, _change = struct.unpack_from("BxHiII", body)
    attributes = _attributes(body, 16)
    return SeenLink(
        index,
        attributes[_NAME].rstrip(b"\0").decode(),
        mac_text(attributes.get(_MAC, b"")),
        bool(flags & _UP),
        bool(flags & _BROADCAST),
        not flags & _NO_ARP,
        _MASTER in attributes,
        usable.get(index),
    )


def _dump(handle: socket.socket, kind: int, header: bytes) -> Iterator[bytes]:
    handle.send(struct.pack("=IHHII", 16 + len(header), kind, _DUMP_REQUEST, 0, 0) + header)
    while True:
        data = handle.recv(1 << 18)
        while data:
            length, message = struct.unpack_from("=IH", data)
            if message == _DONE:
                return
            yield data[16:length]
            data = data[(length + 3) & ~3 :]


def _attributes(body: bytes, start: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while start + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, start)
        found[kind & 0x3FFF] = body[start + 4 : start + length]
        start += (length + 3) & ~3
    return found
