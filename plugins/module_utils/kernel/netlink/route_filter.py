# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Selects the routes of a dump that a run asks for, by their bytes.

The kernel can filter a dump by one table, protocol, type and link at a time, and walks the whole table for each: 70 ms for a
million routes, where listing all of them takes 300 ms. One pass over all of them answers all questions at once, on every kernel.
A routing daemon's routes differ in few bytes, so a run of messages with one layout is compared column by column with
operations on slices of the buffer; that takes less than 0.1 microseconds per route. All other messages are looked at one by
one.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping

from ...state import Route
from ...state.family import family_of, full_length, span
from ...state.route import LOCAL_TABLE, MAIN_TABLE
from ...state.route_selection import ROUTES_PER_LINK, ROUTES_PER_TABLE, RouteSelection, belongs_to_link
from .codec import address_bytes
from .rtnetlink import COMPAT_TABLE
from .wire import HEADER_SIZE, NLM_F_DUMP_INTR, Buffer, MessageError, attributes, find

HEADER = 12  # size of struct rtmsg, and offsets in it
_LENGTH, _TABLE, _PROTOCOL = 1, 4, 5
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_TABLE = 1, 4, 5, 9, 15
_SIZE_OF_RTNEXTHOP, _OIF_OF_RTNEXTHOP = 8, 4
_SHORTEST_RUN = 8  # messages; fewer are looked at one by one
_NEXT_TRY = 32  # messages that are looked at one by one after one that is selected
_LONGEST_IN_RUN = 255  # bytes
_LOW_OF_16 = 0 if sys.byteorder == "little" else 1  # the offset of the lower octet in a number of two
_OCTETS = 4  # of the destination that are compared at most

Routes = Callable[[Buffer, int, int], Iterable[Route]]


class RouteFilter:
    """The selected routes of one family; it remembers what was found, so it serves one dump.

    :param protocol: of managed routes, which are all selected.
    :param names: interfaces by index.
    :param routes: decodes a message.
    """

    def __init__(
        self, selection: RouteSelection, family: str, protocol: int, names: Mapping[int, str], routes: Routes
    ) -> None:
        self._protocol, self._names, self._routes, self._bits = protocol, names, routes, full_length(family)
        self._spans = sorted({span(one) for one in selection.around if family_of(one) == family})
        self._firsts = [first for first, _last in self._spans]
        self._within = [span(network) for network in selection.within if family_of(network) == family]
        self._links = {index: selection.links[name] for index, name in names.items() if name in selection.links}
        self._whole_links = {
            index: {address_bytes(gateway) for gateway in selection.whole_links[name] if family_of(gateway) == family}
            for index, name in names.items()
            if name in selection.whole_links
        }
        self._seen_of_link: dict[int, int] = {}
        self._endpoints = [span(network) for network in selection.endpoints if family_of(network) == family]
        self._links_of_endpoints: set[int] = set()
        self._seen_of_table: dict[int, int] = {}
        self._octets = [
            {_leading(first, self._bits, count) for first in self._firsts} for count in range(1, _OCTETS + 1)
        ]
        self._octets_within = self._leading_of(self._within)
        self._octets_of_endpoints = self._leading_of(self._endpoints)
        self._no_run_before = 0

    def _leading_of(self, networks: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
        """Return the octets with which every destination inside each of the networks begins."""
        lengths = ((first, self._bits - (last - first).bit_length()) for first, last in networks)
        return sorted({_leading(first, self._bits, min(length // 8, _OCTETS)) for first, length in lengths})

    def __call__(self, buffer: bytearray, start: int, stop: int) -> bool:
        """Whether a message is selected."""
        if buffer[start + _PROTOCOL] == self._protocol:
            return True
        if buffer[start + _TABLE] == LOCAL_TABLE:
            return False
        length = buffer[start + _LENGTH]
        payload = find(buffer, start + HEADER, stop, _RTA_DST) if length else b""
        first = int.from_bytes(payload, "big")
        last = first | ((1 << (self._bits - length)) - 1)
        if not length or self._contains_selected(first, last) or _is_inside(first, last, self._within):
            return True
        if buffer[start + _TABLE] != MAIN_TABLE and self._is_one_of_the_first(_table(buffer, start, stop)):
            return True
        hops = _links(buffer, start, stop)
        if not self._whole_links.keys().isdisjoint(hops) and self._is_needed_of_link(hops, buffer, start, stop):
            return True
        return self._leads_beyond_link(hops, buffer, start, stop) or self._leads_to_endpoints(hops, first, last)

    def _contains_selected(self, first: int, last: int) -> bool:
        position = bisect_left(self._firsts, first)
        while position < len(self._spans) and self._spans[position][0] <= last:
            if self._spans[position][1] <= last:
                return True
            position += 1
        return False

    def _is_one_of_the_first(self, table: int) -> bool:
        seen = self._seen_of_table[table] = self._seen_of_table.get(table, 0) + 1
        return seen <= ROUTES_PER_TABLE

    def _is_needed_of_link(self, hops: list[int], buffer: bytearray, start: int, stop: int) -> bool:
        """Whether a route over one of the whole links is selected."""
        if len(hops) == 1 and find(buffer, start + HEADER, stop, _RTA_GATEWAY) in self._whole_links[hops[0]]:
            return False
        for index in self._whole_links.keys() & set(hops):
            seen = self._seen_of_link[index] = self._seen_of_link.get(index, 0) + 1
            if seen >= ROUTES_PER_LINK:
                del self._whole_links[index]
        return True

    def _leads_beyond_link(self, hops: list[int], buffer: bytearray, start: int, stop: int) -> bool:
        """Whether this is the first route over a link that does not belong to it."""
        open_questions = [index for index in dict.fromkeys(hops) if index in self._links]
        routes = tuple(self._routes(buffer, start, stop)) if open_questions else ()
        answered = [index for index in open_questions if self._is_beyond(index, routes)]
        for index in answered:
            del self._links[index]
        return bool(answered)

    def _is_beyond(self, index: int, routes: Iterable[Route]) -> bool:
        own, name = self._links[index], self._names[index]
        return any(route.interface == name and not belongs_to_link(route, own) for route in routes)

    def _leads_to_endpoints(self, hops: list[int], first: int, last: int) -> bool:
        """Whether this is the first route over a link to networks of endpoints."""
        if self._links_of_endpoints.issuperset(hops):
            return False
        if not _is_inside(first, last, self._endpoints):
            return False
        self._links_of_endpoints.update(hops)
        return True

    def skip(self, buffer: bytearray, offset: int, size: int) -> int:
        """Return the offset after the messages from ``offset`` on of which none is selected; ``offset`` if that is not known.

        :param size: of the datagram in the buffer.
        """
        if offset == 0:
            self._no_run_before = 0
        if offset < self._no_run_before:
            return offset
        try:
            run = _Run(buffer, offset, size)
            if run.count >= _SHORTEST_RUN:
                run.read_layout()
                unselected = self._unselected(run) if run.is_uniform else 0
                if unselected >= _SHORTEST_RUN:
                    return offset + unselected * run.length
                run.count = min(run.count, _NEXT_TRY)
        except MessageError:
            return offset  # the caller finds what is wrong
        self._no_run_before = offset + run.count * run.length
        return offset

    def _unselected(self, run: _Run) -> int:
        """Return how many of the first messages of the run are not selected; more are possible."""
        if self._protocol in run.octets(_PROTOCOL):
            return 0
        # A number above 255 stands in an attribute alone.
        in_header = set(run.octets(_TABLE))
        tables = (run.words(run.table) if COMPAT_TABLE in in_header else in_header) - {LOCAL_TABLE, MAIN_TABLE}
        if any(self._seen_of_table.get(one, 0) < ROUTES_PER_TABLE for one in tables):
            return 0
        links = set[int]().union(*(run.words(place) for place in run.links))
        if not links.isdisjoint(self._links):
            return 0
        if not links.isdisjoint(self._whole_links) and not self._are_by_known_gateway(run, links):
            return 0
        # A destination that contains something has its leading octets, if it is as long as these.
        octets = min(min(run.octets(_LENGTH)) // 8, _OCTETS)
        if not octets:
            return 0
        inside = [*self._octets_within, *([] if links <= self._links_of_endpoints else self._octets_of_endpoints)]
        candidates = [self._octets[octets - 1], *({one} for one in inside)]
        return min(run.before_leading(one) for one in candidates if one) if any(candidates) else run.count

    def _are_by_known_gateway(self, run: _Run, links: set[int]) -> bool:
        """Whether the routes of the run, over these links, have gateways for which none is selected."""
        (index, *others) = links
        return not others and len(run.links) == 1 and run.gateway in self._whole_links.get(index, ())


class _Run:
    """Messages of equal length, one after the other.

    :param count: how many there are.
    :param length: of each, in bytes.
    :param destination: where that of each message stands, from the start of its payload; 0 if it has none.
    :param table: as ``destination``.
    :param links: as ``destination``, of the index of each link.
    :param gateway: that of all messages, packed; empty if they have none or different ones.
    """

    def __init__(self, buffer: bytearray, offset: int, size: int) -> None:
        self._buffer, self._start = buffer, offset + HEADER_SIZE
        self.length = length = int.from_bytes(buffer[offset : offset + 4], sys.byteorder)
        # Up to 255 bytes, no length has a second octet: neither that of the message nor those of its attributes.
        if not HEADER_SIZE + HEADER < length <= _LONGEST_IN_RUN or length % 4 or offset + length > size:
            raise MessageError(f"no run of messages of {length} bytes")
        low = 0 if sys.byteorder == "little" else 3  # of the number of four octets
        self.count = _leading_equal(buffer[offset + low : size : length][: (size - offset) // length])
        self._stop = offset + self.count * length
        self.destination, self.table = 0, 0
        self.links: list[int] = []
        self.gateway = b""
        # Where every message must have the same octet: length, type and flags, and those of the attributes
        self._fixed = [at - HEADER_SIZE for at in range(8)]
        self._complete = not buffer[offset + 6] & NLM_F_DUMP_INTR

    def read_layout(self) -> None:
        """Find the parts of the first message.

        :raises MessageError: it is damaged.
        """
        start = self._start
        for kind, first, last in attributes(self._buffer, start + HEADER, start + self.length - HEADER_SIZE):
            place = first - start
            self._fixed += (place - 4 + _LOW_OF_16, place - 2 + _LOW_OF_16)  # of length and type
            if kind == _RTA_DST:
                self.destination = place
            elif kind == _RTA_OIF:
                self.links.append(place)
            elif kind == _RTA_TABLE:
                self.table = place
            elif kind == _RTA_GATEWAY and all(
                self._is_constant(self._column(one - start)) for one in range(first, last)
            ):
                self.gateway = bytes(self._buffer[first:last])
            elif kind == _RTA_MULTIPATH:
                for hop in _hops(self._buffer, first, last):
                    self._fixed.append(hop - start + _LOW_OF_16)
                    self.links.append(hop - start + _OIF_OF_RTNEXTHOP)

    @property
    def is_uniform(self) -> bool:
        """Whether all messages have the layout of the first, with everything that the selection looks at."""
        if not (self._complete and self.destination and self.table):
            return False
        return all(self._is_constant(self._column(place)) for place in self._fixed)

    def words(self, place: int) -> set[int]:
        """Return the numbers of four octets at one place of all messages."""
        columns = [self._column(place + number) for number in range(4)]
        if all(map(self._is_constant, columns)):
            return {int.from_bytes(bytes(column[0] for column in columns), sys.byteorder)}
        return {int.from_bytes(bytes(one), sys.byteorder) for one in set(zip(*columns))}

    def octets(self, place: int) -> bytearray:
        """Return one octet of all messages."""
        return self._column(place)

    def before_leading(self, leading: set[tuple[int, ...]]) -> int:
        """Return how many messages come before the first whose destination begins with some of these octets.

        :param leading: of equal length.
        """
        octets = len(next(iter(leading)))
        if not octets:
            return 0
        first = self._column(self.destination)
        if not any(octet in first for octet in {one[0] for one in leading}):
            return self.count
        further = [self._column(self.destination + number) for number in range(1, octets)]
        found = zip(first, *further)
        return next((position for position, one in enumerate(found) if one in leading), self.count)

    def _column(self, place: int) -> bytearray:
        return self._buffer[self._start + place : self._stop : self.length]

    def _is_constant(self, column: bytearray) -> bool:
        return column == column[:1] * self.count


def _is_inside(first: int, last: int, networks: Iterable[tuple[int, int]]) -> bool:
    return any(lowest <= first and last <= highest for lowest, highest in networks)


def _leading(number: int, bits: int, octets: int) -> tuple[int, ...]:
    """Return the leading octets of an address."""
    return tuple(number.to_bytes(bits // 8, "big")[:octets])


def _leading_equal(column: bytearray) -> int:
    """Return how many of the first bytes are equal."""
    return len(column) - len(column.lstrip(column[:1]))


def _hops(buffer: Buffer, start: int, stop: int) -> Iterator[int]:
    """Yield where each next hop of ``RTA_MULTIPATH`` starts."""
    while start + _SIZE_OF_RTNEXTHOP <= stop:
        length = max(int.from_bytes(buffer[start : start + 2], sys.byteorder), _SIZE_OF_RTNEXTHOP)
        yield start
        start += (length + 3) & ~3


def _links(buffer: Buffer, start: int, stop: int) -> list[int]:
    """Return the indexes of the links that a route uses."""
    found = []
    for kind, first, last in attributes(buffer, start + HEADER, stop):
        if kind == _RTA_OIF:
            found.append(first)
        elif kind == _RTA_MULTIPATH:
            found += [hop + _OIF_OF_RTNEXTHOP for hop in _hops(buffer, first, last)]
    return [int.from_bytes(buffer[place : place + 4], sys.byteorder) for place in found]


def _table(buffer: Buffer, start: int, stop: int) -> int:
    payload = find(buffer, start + HEADER, stop, _RTA_TABLE)
    return int.from_bytes(payload, sys.byteorder) if payload else buffer[start + _TABLE]
