# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells by itself: links, addresses, routes, rules and nftables that somebody changed.

iptables of the legacy variant and most sysctls change without a word; those need to be looked at now and then.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.codec import (
    CodecError,
    MessageFormat,
    name_text,
    number,
    packed,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    Formats,
)

NETLINK = frozenset({"links", "addresses", "sysctls", "routes", "rules"})
CHAINS = frozenset({"chains"})
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
# include/uapi/linux/rtnetlink.h: RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE,
# IPV4_NETCONF (which tells of rp_filter)
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24)
_RTM_NEWNETCONF = 80
_NFNLGRP_NFTABLES = 7  # include/uapi/linux/netfilter/nfnetlink.h
_NETLINK_NETFILTER, _SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 12, 270, 1
_NFT_SUBSYSTEM = 10
_NFT_MSG_DELTABLE, _NFT_MSG_NEWGEN = 2, 15
_NFT_TABLE_NAME, _NFT_GEN_PROC_PID, _NFT_GEN_PROC_NAME = 1, 2, 3
_RECEIVE_BUFFER = 4 << 20
_MAIN_TABLE = 254
_GATHER = 0.004  # seconds to go on listening once something happened: what belongs together comes together


Happened = Iterator[tuple[frozenset[str], str]]  # kinds that may have changed, and who changed them


@dataclass(frozen=True)
class Interests:
    """What of the node's life concerns us.

    :param interfaces: names of ours, of the pools' and of the links below them.
    :param tables: numbers of routing tables that hold routes of ours.
    :param chain_tables: names of the iptables tables that hold chains of ours.
    """

    protocol: int
    interfaces: frozenset[str] = frozenset()
    tables: frozenset[int] = frozenset()
    chain_tables: frozenset[str] = frozenset()


@dataclass
class Heard:
    """What was heard in one go.

    :param kinds: fields of ``NodeState`` that may have changed.
    :param actors: who did it, as far as the kernel tells: ``nft (pid 812)``.
    :param at: monotonic seconds at which the first of it was heard.
    """

    kinds: set[str] = field(default_factory=set)
    actors: dict[str, None] = field(default_factory=dict)
    at: float = 0.0

    def add(self, kinds: frozenset[str], actor: str) -> None:
        """Count one event in."""
        self.kinds |= kinds
        if actor:
            self.actors[actor] = None
        self.at = self.at or time.monotonic()


class Watch:
    """Two netlink sockets that listen; a context manager.

    :param formats: of rtnetlink's messages.
    """

    def __init__(self, formats: Formats) -> None:
        self._formats = formats
        self._names: dict[int, str] = {}
        self._route = _listen(socket.NETLINK_ROUTE, _ROUTE_GROUPS)
        self._nft = _listen(_NETLINK_NETFILTER, (_NFNLGRP_NFTABLES,))
        self._poll = select.poll()
        for one in (self._route, self._nft):
            if one is not None:
                self._poll.register(one, select.POLLIN)

    def close(self) -> None:
        """Close the sockets."""
        for one in (self._route, self._nft):
            if one is not None:
                one.close()

    def register(self, descriptor: int) -> None:
        """Wake up when this descriptor can be read, too; what is in it is not touched."""
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout: float, interests: Interests) -> Heard:
        """Return what concerns us, once something does or after ``timeout`` seconds, then with no kinds."""
        heard = Heard()
        deadline = time.monotonic() + timeout
        while True:
            left = (heard.at + _GATHER if heard.kinds else deadline) - time.monotonic()
            ready = self._poll.poll(max(0, int(left * 1000 + 0.999))) if left > 0 else []
            if not ready:
                return heard
            known = False
            for one, read in ((self._route, self._route_events), (self._nft, self._nft_events)):
                if one is not None and any(descriptor == one.fileno() for descriptor, _event in ready):
                    known = True
                    self._drain(one, heard, read, interests)
            if not known:
                return heard

    def _drain(
        self, one: socket.socket, heard: Heard, read: Callable[[bytes, Interests], Happened], interests: Interests
    ) -> None:
        while True:
            try:
                data = one.recv(1 << 18, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                heard.add(NETLINK | CHAINS, "")  # more happened than fits: look at everything
                continue
            for kinds, actor in read(data, interests):
                heard.add(kinds, actor)

    def _route_events(self, data: bytes, interests: Interests) -> Happened:
        for kind, port, start, end in _messages(data):
            try:
                concerns = self._concerns(kind, data, start, end, interests)
            except CodecError:
                concerns = True
            if concerns:
                yield NETLINK, _actor(port)

    def _concerns(self, kind: int, data: bytes, start: int, end: int, interests: Interests) -> bool:
        def decode(message_format: MessageFormat) -> dict[str, int | bytes]:
            return message_format.decode(data, start, end)

        if kind in (RTM_NEWLINK, RTM_DELLINK):
            fields = decode(self._formats.link)
            name = name_text(packed(fields, "IFLA_IFNAME"))
            self._names[number(fields, "index")] = name
            return name in interests.interfaces
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._name(number(decode(self._formats.address), "index")) in interests.interfaces
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            fields = decode(self._formats.route)
            table = number(fields, "RTA_TABLE") or number(fields, "table")
            return number(fields, "proto") == interests.protocol or (table in interests.tables and table != _MAIN_TABLE)
        if kind in (RTM_NEWRULE, RTM_DELRULE):
            return number(decode(self._formats.rule), "FRA_PROTOCOL") == interests.protocol
        return kind == _RTM_NEWNETCONF

    def _name(self, index: int) -> str:
        if index not in self._names:
            try:
                self._names[index] = socket.if_indextoname(index)
            except OSError:
                return ""
        return self._names[index]

    def _nft_events(self, data: bytes, interests: Interests) -> Happened:
        """Yield changes of our tables; the message that ends a transaction tells who made it."""
        concerns = False
        for kind, _port, start, end in _messages(data):
            if kind >> 8 != _NFT_SUBSYSTEM:
                continue
            attributes = dict(_attributes(data, start + 4, end))
            if kind & 0xFF == _NFT_MSG_NEWGEN:
                if concerns:
                    pid = int.from_bytes(attributes.get(_NFT_GEN_PROC_PID, b""), "big")
                    name = name_text(attributes.get(_NFT_GEN_PROC_NAME, b""))
                    yield CHAINS, f"{name} (pid {pid})" if name else ""
                concerns = False
            elif name_text(attributes.get(_NFT_TABLE_NAME, b"")) in interests.chain_tables:
                concerns = True
        if concerns:
            yield CHAINS, ""


def _listen(protocol: int, groups: tuple[int, ...]) -> socket.socket | None:
    """Return a listening socket, or None where the kernel lacks the protocol (no nftables)."""
    try:
        one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    except OSError:
        return None
    one.bind((0, 0))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    for group in groups:
        one.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
    return one


def _messages(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield type, sender's port, and start and end of the body of each message."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, port, offset + _HEADER.size, offset + length
        offset += (length + 3) & ~3


def _attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, start)
        if length < 4:
            return
        yield kind & 0x3FFF, data[start + 4 : start + length]
        start += (length + 3) & ~3


def _actor(port: int) -> str:
    """Return who sent a request, by its netlink port: libraries choose their process number, some with more in the high bits."""
    pid = port & 0x3FFFFF
    if not pid or pid == os.getpid():
        return ""
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()} (pid {pid})"
    except OSError:
        return ""
