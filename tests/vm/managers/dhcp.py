# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DHCP server (RFC 2131) that gives every client the same address and a default router, as in many networks."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

_SERVER_PORT, _CLIENT_PORT = 67, 68
_HEADER = struct.Struct("!4B L 2H 4s4s4s4s 16s 192s 4s")
_COOKIE = b"\x63\x82\x53\x63"
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_MASK, _ROUTER, _LEASE_TIME, _TYPE, _SERVER_ID, _END = 1, 3, 51, 53, 54, 255


def answer(request: bytes, lease: ipaddress.IPv4Interface) -> bytes | None:
    """Return the answer to a request for an address; None for any other packet.

    :param lease: the client's address; the first address of its network is the router and the server.
    """
    if len(request) < _HEADER.size:
        return None
    operation, kind, length, _hops, xid, _seconds, _flags, *_addresses, hardware, _names, cookie = _HEADER.unpack_from(
        request
    )
    asked = _options(request[_HEADER.size :]).get(_TYPE, b"\0")[0]
    if operation != 1 or cookie != _COOKIE or asked not in (_DISCOVER, _REQUEST):
        return None
    server, none = next(lease.network.hosts()).packed, b"\0" * 4
    header = _HEADER.pack(
        2, kind, length, 0, xid, 0, 0x8000, none, lease.ip.packed, server, none, hardware, b"", _COOKIE
    )
    options = {
        _TYPE: bytes([_OFFER if asked == _DISCOVER else _ACK]),
        _SERVER_ID: server,
        _LEASE_TIME: struct.pack("!L", 3600),
        _MASK: lease.network.netmask.packed,
        _ROUTER: server,
    }
    return header + b"".join(bytes([code, len(value)]) + value for code, value in options.items()) + bytes([_END])


def _options(text: bytes) -> Mapping[int, bytes]:
    found, position = {}, 0
    while position + 1 < len(text) and text[position] != _END:
        if text[position] == 0:
            position += 1
            continue
        size = text[position + 1]
        found[text[position]] = text[position + 2 : position + 2 + size]
        position += 2 + size
    return found


def open_socket(link: str) -> socket.socket:
    """Return a socket for the server's requests on one link; call it in the namespace of the link."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode() + b"\0")
    handle.bind(("", _SERVER_PORT))
    return handle


@contextmanager
def serving(leases: Mapping[str, tuple[Callable[[], socket.socket], ipaddress.IPv4Interface]]) -> Iterator[None]:
    """Answer until the block ends.

    :param leases: by any name: opens the socket, and the address to give there.
    """
    with selectors.DefaultSelector() as ready:
        for opened, lease in leases.values():
            ready.register(opened(), selectors.EVENT_READ, lease)
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(ready, stop), name="dhcp")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for key in list(ready.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()


def _serve(ready: selectors.BaseSelector, stop: threading.Event) -> None:
    while not stop.is_set():
        for key, _ in ready.select(0.2):
            assert isinstance(key.fileobj, socket.socket)
            reply = answer(key.fileobj.recv(2048), key.data)
            if reply:
                key.fileobj.sendto(reply, ("255.255.255.255", _CLIENT_PORT))
