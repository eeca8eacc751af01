# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of the kernel: changes of links, addresses, routes, rules and nf_tables by any process.

iptables-legacy and most sysctls change without an event; they have to be polled.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...state.kinds import NFTABLES, SAVED, announced_by, plurals
from .event_filter import EventFilter, EventMatcher
from .nf_tables import NFNLGRP_NFTABLES
from .originators import Originators
from .sockets import NETLINK_NETFILTER, NETLINK_ROUTE, listen
from .wire import MessageError

EVERYTHING = plurals(SAVED)
#: What only a program can read, and all the rest.
CHAINS = announced_by(NFTABLES)
NETLINK = EVERYTHING - CHAINS
# include/uapi/linux/rtnetlink.h: RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE,
# IPV4_NETCONF (for rp_filter)
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24)
_RECEIVE_BUFFER = 8 << 20  # bytes; the events of one iptables-restore by kube-proxy can take several MB
_LARGEST_DATAGRAM = 128 << 10  # bytes
_BURST = 0.002  # seconds to collect further events after the first, which are often of the same change
_DATAGRAMS_AT_ONCE = 4096  # so that reading ends under a flood of events


@dataclass(frozen=True)
class _Source:
    """A listening socket.

    :param kinds: that its events announce.
    :param match: yields the originator of each matching event among the first bytes of the buffer, as ``name`` takes it.
    """

    socket: socket.socket
    kinds: frozenset[str]
    match: Callable[[int], Iterator[Any]]
    name: Callable[[Originators, Any], str]


@dataclass
class Changes:
    """What the events of one burst announced.

    :param kinds: fields of ``NodeState`` that may have changed.
    :param originators: processes that caused the changes, as far as the kernel names them: ``nft (pid 812)``.
    :param at: monotonic seconds of the first event.
    """

    kinds: set[str] = field(default_factory=set)
    originators: dict[str, None] = field(default_factory=dict)
    at: float = 0.0

    def add(self, kinds: frozenset[str], originator: str) -> None:
        """Add one event."""
        self.kinds |= kinds
        if originator:
            self.originators[originator] = None
        self.at = self.at or time.monotonic()

    def merge(self, earlier: Changes) -> None:
        """Add earlier changes that have not been handled."""
        self.kinds |= earlier.kinds
        self.originators = {**earlier.originators, **self.originators}
        self.at = earlier.at or self.at


class EventMonitor:
    """Two sockets that receive events from the moment of their creation on."""

    def __init__(self) -> None:
        self._buffer = bytearray(_LARGEST_DATAGRAM)
        self._matcher = EventMatcher(self._buffer)
        self._poll = select.poll()
        self._sources = {one.socket.fileno(): one for one in self._listen()}
        for descriptor in self._sources:
            self.register(descriptor)

    def _listen(self) -> Iterator[_Source]:
        opened = listen(NETLINK_ROUTE, _ROUTE_GROUPS, _RECEIVE_BUFFER)
        yield _Source(opened, NETLINK, self._matcher.rtnetlink_senders, Originators.of_port)
        try:
            opened = listen(NETLINK_NETFILTER, (NFNLGRP_NFTABLES,), _RECEIVE_BUFFER)
        except OSError:
            # No nf_tables in the kernel, or a security policy forbids the socket: the periodic check has to do.
            return
        yield _Source(opened, CHAINS, self._matcher.nftables_processes, Originators.of_process)

    def close(self) -> None:
        """Close the sockets."""
        for source in self._sources.values():
            source.socket.close()

    def register(self, descriptor: int) -> None:
        """Have :meth:`wait` return when this descriptor becomes readable, too; nothing is read from it."""
        self._poll.register(descriptor, select.POLLIN)

    def set_filter(self, event_filter: EventFilter) -> None:
        """Ignore all events that do not match this filter from now on."""
        if event_filter != self._matcher.filter:
            self._matcher.set_filter(event_filter)

    def wait(self, timeout: float) -> Changes:
        """Return the next burst of matching events; without kinds if there is none within ``timeout`` seconds."""
        changes = Changes()
        originators = Originators()
        deadline = time.monotonic() + timeout
        while True:
            # A transaction of nf_tables is complete when it is announced.
            burst = _BURST if changes.kinds - CHAINS else 0.0
            left = (changes.at + burst if changes.kinds else deadline) - time.monotonic()
            ready = {descriptor for descriptor, _event in self._poll.poll(max(0, int(left * 1000 + 0.999)))}
            for descriptor in ready & self._sources.keys():
                self._drain(self._sources[descriptor], changes, originators)
            if ready - self._sources.keys() or left <= 0:
                return changes

    def _drain(self, source: _Source, changes: Changes, originators: Originators) -> None:
        for _datagram in range(_DATAGRAMS_AT_ONCE):
            try:
                size = source.socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT | socket.MSG_TRUNC)
                if size > len(self._buffer):
                    raise MessageError("it was truncated")
                for originator in source.match(size):
                    changes.add(source.kinds, source.name(originators, originator))
            except BlockingIOError:
                return
            except MessageError:
                self._add_lost(changes)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # the kernel had no room for further events
                    raise
                self._add_lost(changes)

    def _add_lost(self, changes: Changes) -> None:
        """Record that events were lost, so that anything may have changed."""
        self._matcher.read_indexes()
        changes.add(EVERYTHING, "")
