# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events of the kernel can be about managed objects.

A node where pods come and go has a thousand events of other links and routes a second, so each message is read only as far
as it takes to discard it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...state.route import MAIN_TABLE
from .codec import name_bytes
from .nf_tables import (
    NFGENMSG_SIZE,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_NEWGEN,
    NFTA_GEN_PROC_NAME,
    NFTA_GEN_PROC_PID,
    NFTA_TABLE_NAME,
)
from .rtnetlink import (
    COMPAT_TABLE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNETCONF,
    RTM_NEWROUTE,
    RTM_NEWRULE,
)
from .wire import find, messages, text_in

# Sizes of struct ifinfomsg, rtmsg, fib_rule_hdr, and of struct netconfmsg with its padding
_LINK_HEADER, _ROUTE_HEADER, _RULE_HEADER, _NETCONF_HEADER = 16, 12, 12, 4
_INDEX_OFFSET = 4  # of the index in struct ifinfomsg and ifaddrmsg
_IFLA_IFNAME, _RTA_DST, _RTA_TABLE, _FRA_PRIORITY, _FRA_PROTOCOL, _NETCONFA_IFINDEX = 3, 1, 15, 6, 21, 1
_ALL_INTERFACES = -1  # NETCONFA_IFINDEX_ALL
_INTEGER = struct.Struct("=i")

_Network = tuple[int, int, bytes]  # address family, prefix length, packed address


@dataclass(frozen=True)
class EventFilter:
    """What the events of interest are about.

    :param protocol: of managed routes and rules.
    :param interfaces: names of managed links, of the pools' links and of the links below them.
    :param tables: numbers of routing tables with managed routes.
    :param main_networks: destinations of managed routes in the main table, where most routes are foreign.
    :param chain_tables: names of iptables' tables with managed chains.
    :param last_priority: of the managed rules; foreign rules before it may match the same packets.
    """

    protocol: int
    interfaces: frozenset[str] = frozenset()
    tables: frozenset[int] = frozenset()
    main_networks: frozenset[str] = frozenset()
    chain_tables: frozenset[str] = frozenset()
    last_priority: int = 0


class EventMatcher:
    """Matches events in a buffer against a filter.

    It follows which interface indexes belong to the filter's names, and whether the transaction of nf_tables whose events
    are arriving has changed one of the filter's tables.

    :param buffer: that the events are received into.
    """

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._transaction_matches = False
        self.set_filter(EventFilter(0))

    def set_filter(self, event_filter: EventFilter) -> None:
        """Match against another filter from now on."""
        self.filter = event_filter
        self._networks = frozenset(_packed(network) for network in event_filter.main_networks)
        self._tables = event_filter.tables - {MAIN_TABLE}
        self._names = frozenset(map(name_bytes, event_filter.interfaces))
        self._chain_tables = frozenset(map(name_bytes, event_filter.chain_tables))
        self.read_indexes()

    def read_indexes(self) -> None:
        """Ask the kernel which indexes the filter's interfaces have; needed where events were lost."""
        names = self.filter.interfaces
        self._indexes = {index for index, name in socket.if_nameindex() if name in names}

    def rtnetlink_senders(self, size: int) -> Iterator[int]:
        """Yield for each matching event the port of the socket whose request caused it, 0 for the kernel.

        :raises MessageError: a message is damaged.
        """
        for kind, _flags, _sequence, port, start, stop in messages(self._buffer, size):
            if self._matches(kind, start, stop):
                yield port

    def _matches(self, kind: int, start: int, stop: int) -> bool:
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            return self._route_matches(start, stop)
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            return self._link_matches(kind, start, stop)
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._integer_at(start + _INDEX_OFFSET) in self._indexes
        if kind in (RTM_NEWRULE, RTM_DELRULE):
            protocol = find(self._buffer, start + _RULE_HEADER, stop, _FRA_PROTOCOL)
            priority = self._integer(start + _RULE_HEADER, stop, _FRA_PRIORITY)
            return protocol == bytes([self.filter.protocol]) or 0 <= priority < self.filter.last_priority
        if kind == RTM_NEWNETCONF:
            index = self._integer(start + _NETCONF_HEADER, stop, _NETCONFA_IFINDEX)
            return index == _ALL_INTERFACES or index in self._indexes
        return False

    def _link_matches(self, kind: int, start: int, stop: int) -> bool:
        """Whether the link has, or had until now, a name of the filter."""
        family, index = self._buffer[start], self._integer_at(start + _INDEX_OFFSET)
        matches = find(self._buffer, start + _LINK_HEADER, stop, _IFLA_IFNAME) in self._names
        matched = index in self._indexes
        # A port that leaves a bridge is announced by RTM_DELLINK, too, with the bridge's address family.
        if matches and (kind == RTM_NEWLINK or family != socket.AF_UNSPEC):
            self._indexes.add(index)
        else:
            self._indexes.discard(index)
        return matches or matched

    def _route_matches(self, start: int, stop: int) -> bool:
        family, length, _source_length, _tos, table, protocol = self._buffer[start : start + 6]
        if protocol == self.filter.protocol:
            return True
        if table == MAIN_TABLE:
            if not self._networks:
                return False
            address = find(self._buffer, start + _ROUTE_HEADER, stop, _RTA_DST)
            return (family, length, address) in self._networks
        if table == COMPAT_TABLE:
            table = self._integer(start + _ROUTE_HEADER, stop, _RTA_TABLE)
        return table in self._tables

    def nftables_processes(self, size: int) -> Iterator[tuple[int, str]]:
        """Yield pid and name of the process behind each matching transaction, (0, ``""``) while that is unknown.

        The kernel names the process in the event that ends the transaction.

        :raises MessageError: a message is damaged.
        """
        for kind, _flags, _sequence, _port, header, stop in messages(self._buffer, size):
            if kind >> 8 != NFNL_SUBSYS_NFTABLES:
                continue
            start = header + NFGENMSG_SIZE
            if kind & 0xFF == NFT_MSG_NEWGEN:
                if self._transaction_matches:
                    pid = int.from_bytes(find(self._buffer, start, stop, NFTA_GEN_PROC_PID), "big")
                    yield pid, text_in(find(self._buffer, start, stop, NFTA_GEN_PROC_NAME))
                self._transaction_matches = False
            elif not self._transaction_matches:
                self._transaction_matches = find(self._buffer, start, stop, NFTA_TABLE_NAME) in self._chain_tables
        if self._transaction_matches:
            yield 0, ""

    def _integer(self, start: int, stop: int, attribute_type: int) -> int:
        """Return an attribute with an integer of 32 bits, 0 if there is none."""
        payload = find(self._buffer, start, stop, attribute_type)
        return _INTEGER.unpack(payload)[0] if len(payload) == _INTEGER.size else 0

    def _integer_at(self, offset: int) -> int:
        value: int = _INTEGER.unpack_from(self._buffer, offset)[0]
        return value


def _packed(network: str) -> _Network:
    address, _slash, length = network.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The kernel leaves the address of a default route out.
    return family, int(length), socket.inet_pton(family, address) if length != "0" else b""
