# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's netlink notifications in a namespace: the witness that something was written, or nothing, and when.

The kernel queues a notification before the writer gets its answer, so no test needs to wait for one.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from tests.lab import Host

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP, _SO_RCVBUFFORCE = 270, 1, 33
#: enum rtnetlink_groups, include/uapi/linux/rtnetlink.h: links, then addresses, routes, rules and netconf by family
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24, 25)
_NFTABLES_GROUP = 7  # NFNLGRP_NFTABLES, include/uapi/linux/netfilter/nfnetlink.h
#: RTM_NEWADDR, NEWROUTE, NEWRULE, NEWNETCONF and NFT_MSG_NEWGEN. Not RTM_NEWLINK: the kernel itself reports that a link
#: runs up to a second after it is up.
_MAKING = frozenset({"rtnetlink 20", "rtnetlink 24", "rtnetlink 32", "rtnetlink 80", f"nftables {10 << 8 | 15}"})
_SETTLED = 0.1  # seconds without an event after which a recording is over


def open_listeners() -> dict[str, socket.socket]:
    """Return sockets that hear all notifications in the namespace of the calling thread."""
    sockets = {}
    for name, protocol, groups in (
        ("rtnetlink", socket.NETLINK_ROUTE, _ROUTE_GROUPS),
        ("nftables", _NETLINK_NETFILTER, (_NFTABLES_GROUP,)),
    ):
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        listener.bind((0, 0))
        for group in groups:
            listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        sockets[name] = listener
    return sockets


def drain(name: str, listener: socket.socket) -> Iterator[str]:
    """Yield the protocol and type of each message that is queued: ``rtnetlink 24``."""
    while True:
        try:
            data = listener.recv(1 << 20)
        except BlockingIOError:
            return
        while len(data) >= 16:
            length, number = struct.unpack_from("=IH", data)
            yield f"{name} {number}"
            data = data[(length + 3) & ~3 :]


class Events:
    """Listens on a host while the ``with`` block runs; ``seen`` then has the type of each message."""

    def __init__(self, host: Host) -> None:
        self._sockets = host.call(open_listeners)
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for name, listener in self._sockets.items():
            with listener:
                self.seen += drain(name, listener)


@dataclass(frozen=True)
class Span:
    """When something began and when it was over, seconds of the monotonic clock."""

    first: float
    last: float

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.last - self.first) * 1000


class Recorder:
    """Records when each message came; a context manager."""

    def __init__(self, host: Host) -> None:
        self._sockets = host.call(open_listeners)
        self._events: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        for listener in self._sockets.values():
            listener.close()

    def clear(self) -> None:
        """Forget what has happened so far."""
        self._events.clear()

    def span(self) -> Span | None:
        """Return the times of the first change and of the last new object, or None."""
        events = list(self._events)
        made = self._made()
        return Span(events[0][0], made[-1]) if made else None

    def settle(self, seconds: float = 3.0) -> None:
        """Wait until no object has been added for a while, or until the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            made = self._made()
            if made and time.monotonic() - made[-1] > _SETTLED:
                return
            time.sleep(0.01)

    def _made(self) -> list[float]:
        return [at for at, kind in list(self._events) if kind in _MAKING]

    def _record(self) -> None:
        poll = select.poll()
        names = {listener.fileno(): name for name, listener in self._sockets.items()}
        for number in names:
            poll.register(number, select.POLLIN)
        while not self._stop.is_set():
            for number, _event in poll.poll(50):
                at, name = time.monotonic(), names[number]
                self._events += [(at, kind) for kind in drain(name, self._sockets[name])]
