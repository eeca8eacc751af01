# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells by itself: links, addresses, routes, rules and nftables that somebody changed.

iptables of the legacy variant and most sysctls change without a word; those need to be looked at now and then.

A node where pods come and go tells of a thousand links and routes a second that do not concern us, so of each message only
as much is read as it takes to know that.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ...state.kinds import NFTABLES, RTNETLINK, SAVED, announced_by, plurals
from .originators import Originators
from .rtnetlink import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_NEWRULE,
)

NETLINK, CHAINS = announced_by(RTNETLINK), announced_by(NFTABLES)
EVERYTHING = plurals(SAVED)
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr
_INDEX = struct.Struct("=i")
# include/uapi/linux/rtnetlink.h: RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE,
# IPV4_NETCONF (which tells of rp_filter)
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24)
_RTM_NEWNETCONF = 80
# Sizes of struct ifinfomsg, rtmsg, fib_rule_hdr, and of struct netconfmsg with its padding
_LINK_HEAD, _ROUTE_HEAD, _RULE_HEAD, _NETCONF_HEAD = 16, 12, 12, 4
_IFLA_IFNAME, _RTA_DST, _RTA_TABLE, _FRA_PROTOCOL, _NETCONFA_IFINDEX = 3, 1, 15, 21, 1
_ALL_INTERFACES = -1  # NETCONFA_IFINDEX_ALL
_MAIN_TABLE, _COMPAT_TABLE = 254, 252  # the second stands for every number above 255
_NFNLGRP_NFTABLES = 7  # include/uapi/linux/netfilter/nfnetlink.h
_NETLINK_NETFILTER, _SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 12, 270, 1
_NFT_SUBSYSTEM, _NFT_MSG_NEWGEN, _NFT_HEAD = 10, 15, 4
_NFT_TABLE_NAME, _NFT_GEN_PROC_PID, _NFT_GEN_PROC_NAME = 1, 2, 3
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h; the socket module does not name it
_RECEIVE_BUFFER = (
    8 << 20
)  # bytes that the kernel may keep for us; one restore of kube-proxy's can be several MB of events
_LARGEST_MESSAGE = 128 << 10
_GATHER = 0.004  # seconds to go on listening once something happened: what belongs together comes together
_READS_AT_ONCE = 4096  # so that a flood cannot keep us reading for ever


Happened = Iterator[tuple[frozenset[str], str]]  # kinds that may have changed, and who changed them
_Network = tuple[int, int, bytes]  # address family, length, packed address


@dataclass(frozen=True)
class EventFilter:
    """What of the node's life concerns us.

    :param interfaces: names of ours, of the pools' and of the links below them.
    :param tables: numbers of routing tables that hold routes of ours.
    :param main_networks: destinations of our routes in the main table, which is full of others' routes.
    :param chain_tables: names of the iptables tables that hold chains of ours.
    """

    protocol: int
    interfaces: frozenset[str] = frozenset()
    tables: frozenset[int] = frozenset()
    main_networks: frozenset[str] = frozenset()
    chain_tables: frozenset[str] = frozenset()


@dataclass
class Changes:
    """What was heard in one go.

    :param kinds: fields of ``NodeState`` that may have changed.
    :param actors: who did it, as far as the kernel tells: ``nft (pid 812)``.
    :param at: monotonic seconds at which the first of it was heard.
    """

    kinds: set[str] = field(default_factory=set)
    originators: dict[str, None] = field(default_factory=dict)
    at: float = 0.0

    def add(self, kinds: frozenset[str], actor: str) -> None:
        """Count one event in."""
        self.kinds |= kinds
        if actor:
            self.originators[actor] = None
        self.at = self.at or time.monotonic()

    def merge(self, earlier: Changes) -> None:
        """Count in what was heard before and could not be served."""
        self.kinds |= earlier.kinds
        self.originators = {**earlier.originators, **self.originators}
        self.at = earlier.at or self.at


class EventMonitor:
    """Two netlink sockets that listen. They hear of what happens from their making on."""

    def __init__(self) -> None:
        self._interests = EventFilter(0)
        self._networks: frozenset[_Network] = frozenset()
        self._tables: frozenset[int] = frozenset()
        self._chain_tables: frozenset[bytes] = frozenset()
        self._indexes: dict[int, str] = {}
        self._changing = False  # a transaction of nftables that concerns us has not been ended yet
        self._buffer = bytearray(_LARGEST_MESSAGE)
        self._route = _listen(socket.NETLINK_ROUTE, _ROUTE_GROUPS)
        self._nft = _listen(_NETLINK_NETFILTER, (_NFNLGRP_NFTABLES,))
        self._poll = select.poll()
        for one in self._sockets():
            self._poll.register(one, select.POLLIN)

    def _sockets(self) -> Iterator[socket.socket]:
        return (one for one in (self._route, self._nft) if one is not None)

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets():
            one.close()

    def register(self, descriptor: int) -> None:
        """Wake up when this descriptor can be read, too; what is in it is not touched."""
        self._poll.register(descriptor, select.POLLIN)

    def set_filter(self, interests: EventFilter) -> None:
        """Let only what concerns these wake us from now on."""
        if interests == self._interests:
            return
        self._interests = interests
        self._networks = frozenset(_packed(network) for network in interests.main_networks)
        self._tables = interests.tables - {_MAIN_TABLE}
        self._chain_tables = frozenset(name.encode() for name in interests.chain_tables)
        self._find_indexes()

    def _find_indexes(self) -> None:
        names = self._interests.interfaces
        self._indexes = {index: name for index, name in socket.if_nameindex() if name in names}

    def wait(self, timeout: float) -> Changes:
        """Return what concerns us, once something does or after ``timeout`` seconds, then with no kinds."""
        heard = Changes()
        originators = Originators()
        deadline = time.monotonic() + timeout
        while True:
            left = (heard.at + _GATHER if heard.kinds else deadline) - time.monotonic()
            ready = {descriptor for descriptor, _event in self._poll.poll(max(0, int(left * 1000 + 0.999)))}
            for one, read in ((self._route, self._route_events), (self._nft, self._nft_events)):
                if one is not None and one.fileno() in ready:
                    ready.remove(one.fileno())
                    self._drain(one, heard, read, originators)
            if ready or left <= 0:
                return heard

    def _drain(
        self, one: socket.socket, heard: Changes, read: Callable[[int, Originators], Happened], originators: Originators
    ) -> None:
        for _time in range(_READS_AT_ONCE):
            try:
                size = one.recv_into(self._buffer, 0, socket.MSG_DONTWAIT | socket.MSG_TRUNC)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                size = len(self._buffer) + 1
            if size > len(self._buffer):  # more happened than fits: look at everything
                self._find_indexes()
                heard.add(EVERYTHING, "")
                continue
            for kinds, actor in read(size, originators):
                heard.add(kinds, actor)

    def _route_events(self, size: int, originators: Originators) -> Happened:
        for kind, port, start, end in self._messages(size):
            if self._concerns(kind, start, end):
                yield NETLINK, originators.of_port(port)

    def _concerns(self, kind: int, start: int, end: int) -> bool:
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            return self._link_concerns(kind, start, end)
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._index(start + 4) in self._indexes
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            return self._route_concerns(start, end)
        if kind in (RTM_NEWRULE, RTM_DELRULE):
            return self._attribute(start + _RULE_HEAD, end, _FRA_PROTOCOL)[:1] == bytes([self._interests.protocol])
        if kind == _RTM_NEWNETCONF:
            index = self._number(start + _NETCONF_HEAD, end, _NETCONFA_IFINDEX)
            return index == _ALL_INTERFACES or index in self._indexes
        return False

    def _link_concerns(self, kind: int, start: int, end: int) -> bool:
        """Whether it is a link of interest, under the name that it has or the one that it had."""
        family, index = self._buffer[start], self._index(start + 4)
        name = self._attribute(start + _LINK_HEAD, end, _IFLA_IFNAME).rstrip(b"\0").decode(errors="surrogateescape")
        was = self._indexes.pop(index, "")
        concerns = name in self._interests.interfaces
        # Leaving a bridge is told as a deletion, with the bridge's family.
        if concerns and (kind == RTM_NEWLINK or family != socket.AF_UNSPEC):
            self._indexes[index] = name
        return concerns or bool(was)

    def _route_concerns(self, start: int, end: int) -> bool:
        family, length, _source_length, _tos, table, protocol = self._buffer[start : start + 6]
        if protocol == self._interests.protocol:
            return True
        if table == _MAIN_TABLE:
            if not self._networks:
                return False
            address = self._attribute(start + _ROUTE_HEAD, end, _RTA_DST)
            return (family, length, address) in self._networks
        if table == _COMPAT_TABLE:
            table = self._number(start + _ROUTE_HEAD, end, _RTA_TABLE)
        return table in self._tables

    def _nft_events(self, size: int, originators: Originators) -> Happened:
        """Yield changes of our tables, and once more with who made them: the message that ends a transaction tells that."""
        for kind, _port, start, end in self._messages(size):
            if kind >> 8 != _NFT_SUBSYSTEM:
                continue
            if kind & 0xFF == _NFT_MSG_NEWGEN:
                if self._changing:
                    pid = int.from_bytes(self._attribute(start + _NFT_HEAD, end, _NFT_GEN_PROC_PID), "big")
                    name = self._attribute(start + _NFT_HEAD, end, _NFT_GEN_PROC_NAME).rstrip(b"\0")
                    yield CHAINS, originators.of_process(pid, name.decode(errors="replace"))
                self._changing = False
            elif not self._changing:
                name = self._attribute(start + _NFT_HEAD, end, _NFT_TABLE_NAME).rstrip(b"\0")
                self._changing = name in self._chain_tables
        if self._changing:
            yield CHAINS, ""

    def _messages(self, size: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield type, sender's port, and start and end of the body of each message."""
        offset = 0
        while offset + _HEADER.size <= size:
            length, kind, _flags, _sequence, port = _HEADER.unpack_from(self._buffer, offset)
            if length < _HEADER.size or offset + length > size:
                return
            yield kind, port, offset + _HEADER.size, offset + length
            offset += (length + 3) & ~3

    def _attribute(self, start: int, end: int, wanted: int) -> bytes:
        """Return an attribute's content, no bytes where the message does not have it."""
        while start + 4 <= end:
            length, kind = _ATTRIBUTE.unpack_from(self._buffer, start)
            if length < 4:
                break
            if kind & 0x3FFF == wanted:
                return bytes(self._buffer[start + 4 : start + length])
            start += (length + 3) & ~3
        return b""

    def _number(self, start: int, end: int, wanted: int) -> int:
        content = self._attribute(start, end, wanted)
        return _INDEX.unpack(content)[0] if len(content) == _INDEX.size else 0

    def _index(self, offset: int) -> int:
        number: int = _INDEX.unpack_from(self._buffer, offset)[0]
        return number


def _packed(network: str) -> _Network:
    address, _slash, length = network.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The kernel leaves the address of a default route out.
    return family, int(length), socket.inet_pton(family, address) if length != "0" else b""


def _listen(protocol: int, groups: tuple[int, ...]) -> socket.socket | None:
    """Return a listening socket, or None where the kernel lacks the protocol (no nftables)."""
    try:
        one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    except OSError:
        return None
    one.bind((0, 0))
    for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):  # the second needs CAP_NET_ADMIN and goes beyond rmem_max
        try:
            one.setsockopt(socket.SOL_SOCKET, option, _RECEIVE_BUFFER)
        except OSError:
            continue
    for group in groups:
        one.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
    return one
