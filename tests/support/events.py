# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells listeners that somebody changed: the witness that nothing was written.

The kernel puts an event into a listener's queue before the writer gets its answer, so nothing needs to be waited for.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

from tests.lab import namespaces
from tests.support.node import EngineNode

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
#: enum rtnetlink_groups, include/uapi/linux/rtnetlink.h: links, then addresses, routes, rules and settings by family
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24, 25)
_NFTABLES_GROUP = 7  # NFNLGRP_NFTABLES, include/uapi/linux/netfilter/nfnetlink.h


class Events:
    """Listens on a node while the ``with`` block runs; ``seen`` then has the type of each message."""

    def __init__(self, node: EngineNode) -> None:
        self._node = node
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        self._sockets = namespaces.in_namespace(self._node.name, _listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, listener in self._sockets.items():
            with listener:
                self.seen += [f"{name} {number}" for number in _drain(listener)]


def _listen() -> dict[str, socket.socket]:
    sockets = {}
    for name, protocol, groups in (
        ("rtnetlink", socket.NETLINK_ROUTE, _ROUTE_GROUPS),
        ("nftables", _NETLINK_NETFILTER, (_NFTABLES_GROUP,)),
    ):
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        listener.bind((0, 0))
        for group in groups:
            listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        sockets[name] = listener
    return sockets


def _drain(listener: socket.socket) -> list[int]:
    found = []
    while True:
        try:
            data = listener.recv(1 << 20)
        except BlockingIOError:
            return found
        while len(data) >= 16:
            length, number = struct.unpack_from("=IH", data)
            found.append(number)
            data = data[(length + 3) & ~3 :]
