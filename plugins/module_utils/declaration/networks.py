# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, networks and ranges as a user writes them, and the parts of the address space that cannot be used."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Callable, NamedTuple

from ..errors import InputError
from ..state.family import FAMILIES, IPV4, IPV6, canonical_network, full_length
from .model import MAX_NETWORKS_PER_POOL
from .problems import Problems
from .values import read_items, read_text, shown

LABELS = {IPV4: "IPv4", IPV6: "IPv6"}

#: Networks shorter than this hold more than 1/256 of all addresses of a family.
SHORTEST_LENGTH = 8

_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")
_LONGEST_ADDRESS = 45


class Scope(NamedTuple):
    """A part of the address space with a meaning of its own (IANA special-purpose registries, RFC 6890)."""

    family: str
    first: int
    last: int
    text: str
    name: str
    why: str


def _scope(text: str, name: str, why: str) -> Scope:
    network = ipaddress.ip_network(text)
    family = IPV6 if network.version == 6 else IPV4
    return Scope(family, int(network.network_address), int(network.broadcast_address), text, name, why)


_SCOPES = (
    _scope("0.0.0.0/8", "unspecified", "which mean 'this host' and are never a destination"),
    _scope("127.0.0.0/8", "loopback", "which never leave a node"),
    _scope("169.254.0.0/16", "link-local", "which no router forwards"),
    _scope("224.0.0.0/4", "multicast", "which belong to groups, not to a service"),
    _scope("240.0.0.0/4", "reserved (class E)", "which routers and hosts drop"),
    _scope("::/128", "unspecified", "which means 'no address' and is never a destination"),
    _scope("::1/128", "loopback", "which never leaves a node"),
    _scope("::ffff:0:0/96", "IPv4-mapped", "which exist only inside programs; the packets are IPv4's"),
    # Less the first two, which are the unspecified and the loopback address above.
    _scope("::/96", "IPv4-compatible", "which were given up (RFC 4291)")._replace(first=2),
    _scope("fe80::/10", "link-local", "which no router forwards"),
    _scope("ff00::/8", "multicast", "which belong to groups, not to a service"),
)
_SCOPES_OF_FAMILY = {family: tuple(scope for scope in _SCOPES if scope.family == family) for family in (IPV4, IPV6)}


class Purpose(NamedTuple):
    """What addresses are wanted for, which decides what they may be.

    :param remedy: what to do where they are refused.
    :param allowed: pairs of family and name of the scopes that are fine all the same.
    :param shortest_length: of a network's prefix.
    """

    remedy: str
    allowed: frozenset[tuple[str, str]] = frozenset()
    shortest_length: int = SHORTEST_LENGTH


def check_scope(path: str, text: str, family: str, first: int, last: int, purpose: Purpose) -> None:
    """Refuse the addresses from ``first`` to ``last`` where any of them cannot be used for the purpose."""
    for scope in _SCOPES_OF_FAMILY[family]:
        if first <= scope.last and last >= scope.first and (family, scope.name) not in purpose.allowed:
            relation = "is inside" if scope.first <= first and last <= scope.last else "holds"
            noun = f"the {scope.name} address{'es' if scope.last > scope.first else ''} ({scope.text})"
            raise InputError(path, f"{shown(text)} {relation} {noun}, {scope.why}", purpose.remedy)


def parse_address(path: str, text: str, remedy: str) -> tuple[str, int, str]:
    """Return the family, the number and the canonical text of one address, whatever its scope."""
    if "%" in text:
        raise InputError(
            path, f"{shown(text)} carries a zone, but the interface option names the link", "Leave out % on."
        )
    if len(text) > _LONGEST_ADDRESS:
        raise InputError(path, f"{shown(text)} is too long for an address", remedy)
    if ":" not in text and _LEADING_ZERO.search(text):
        problem = f"{shown(text)} has a leading zero, which some programs read as octal"
        raise InputError(path, problem, "Leave out the zero.")
    try:
        return _address(text)
    except ValueError:
        raise InputError(path, f"{shown(text)} is neither an IPv4 nor an IPv6 address", remedy) from None


# Many pools name the same gateways, on-link networks and denied sources; each is taken apart once.
@lru_cache(maxsize=4096)
def _address(text: str) -> tuple[str, int, str]:
    if ":" in text:
        address = ipaddress.IPv6Address(text)
        return IPV6, int(address), str(address)
    return IPV4, int(ipaddress.IPv4Address(text)), text


def address_text(family: str, number: int) -> str:
    """Return an address as the kernel prints it."""
    return str(ipaddress.IPv6Address(number) if family == IPV6 else ipaddress.IPv4Address(number))


_LENGTH = re.compile(r"[0-9]{1,3}")
_WRITE_A_NETWORK = "Write an address, a network as address/length, or a range as first-last."


class Span(NamedTuple):
    """The run of addresses that one entry of the input stands for.

    Numbers instead of ``ipaddress`` objects, and a tuple instead of a dataclass: 1,000 pools are compared in
    milliseconds this way.

    :param text: the entry in canonical form, for messages.
    :param networks: canonical ``address/length``, in order; several where a range needs them.
    """

    family: str
    first: int
    last: int
    path: str
    text: str
    networks: tuple[str, ...]

    @property
    def is_range(self) -> bool:
        """Whether the entry was a range, so that its ends are not those of a network."""
        return "-" in self.text


def parse_span(path: str, value: Any, purpose: Purpose) -> Span:
    """Return an address, network or range as a span.

    :raises InputError: it is none of these, or holds addresses that do not fit the purpose.
    """
    text = read_text(path, value).strip()
    if "-" in text:
        return _parse_range(path, text, purpose)
    written, slash, length_text = text.partition("/")
    family, number, address = parse_address(path, written, _WRITE_A_NETWORK)
    bits = full_length(family)
    length = _parse_length(path, text, length_text, bits) if slash else bits
    _check_length(path, text, family, length, purpose)
    size = 1 << (bits - length)
    if number & (size - 1):
        network = f"{address_text(family, number & -size)}/{length}"
        raise InputError(
            path,
            f"{shown(text)} is not a network, because it has bits set after the first {length}",
            f"Write {network} for the network, or {address} for the one address.",
        )
    check_scope(path, text, family, number, number + size - 1, purpose)
    canonical = f"{address}/{length}"
    return Span(family, number, number + size - 1, path, canonical, (canonical,))


def parse_address_span(path: str, value: Any, purpose: Purpose) -> Span:
    """Return one address as a span whose text has no length; it may be written with the full length.

    :raises InputError: it is not one address, or does not fit the purpose.
    """
    text = read_text(path, value).strip()
    written, slash, length_text = text.partition("/")
    if "-" in text or (slash and length_text not in ("32", "128")):
        raise InputError(path, f"{shown(text)} is not one address", "Write the address alone, without a length.")
    family, number, address = parse_address(path, written, purpose.remedy)
    if slash and length_text != str(full_length(family)):
        raise InputError(path, f"{shown(text)} is not one address", f"Write {address} alone.")
    check_scope(path, address, family, number, number, purpose)
    return Span(family, number, number, path, address, (f"{address}/{full_length(family)}",))


def _parse_length(path: str, text: str, length_text: str, bits: int) -> int:
    if _LENGTH.fullmatch(length_text) and int(length_text) <= bits:
        return int(length_text)
    problem = f"{shown(text)} has no number from 0 to {bits} after the slash"
    try:
        remedy = f"Write {canonical_network(text)}."
    except ValueError:
        remedy = "Write the length of the prefix in bits, as in 192.0.2.0/24."
    raise InputError(path, problem, remedy)


def _check_length(path: str, text: str, family: str, length: int, purpose: Purpose) -> None:
    if length >= purpose.shortest_length:
        return
    if length == 0:
        problem = f"{shown(text)} is every {LABELS[family]} address there is"
    else:
        problem = f"{shown(text)} is larger than a /{purpose.shortest_length}, which no one is ever assigned"
    raise InputError(path, problem, purpose.remedy)


def _parse_range(path: str, text: str, purpose: Purpose) -> Span:
    ends = [end.strip() for end in text.split("-")]
    remedy = "Write both ends as whole addresses, as in 192.0.2.10-192.0.2.60."
    if len(ends) != 2 or "/" in text or not all(ends):
        raise InputError(path, f"{shown(text)} is not a range of addresses", remedy)
    family, first, first_text = parse_address(path, ends[0], remedy)
    last_family, last, last_text = parse_address(path, ends[1], remedy)
    if family != last_family:
        problem = f"{shown(text)} begins as {LABELS[family]} and ends as {LABELS[last_family]}"
        raise InputError(path, problem, "Write one range for each family.")
    if first > last:
        problem = f"{shown(text)} ends before it begins"
        raise InputError(path, problem, f"Write {last_text}-{first_text}, if that is what you mean.")
    bits = full_length(family)
    if last - first >= 1 << (bits - purpose.shortest_length):
        problem = f"{shown(text)} is larger than a /{purpose.shortest_length}, which no one is ever assigned"
        raise InputError(path, problem, purpose.remedy)
    check_scope(path, text, family, first, last, purpose)
    networks = tuple(summarize(family, first, last))
    return Span(family, first, last, path, f"{first_text}-{last_text}", networks)


def summarize(family: str, first: int, last: int) -> Iterator[str]:
    """Yield the fewest networks that hold exactly the addresses from ``first`` to ``last``, in order."""
    bits = full_length(family)
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else bits
        room = (last - first + 1).bit_length() - 1
        host_bits = min(aligned, room)
        yield f"{address_text(family, first)}/{bits - host_bits}"
        first += 1 << host_bits


def read_spans(
    problems: Problems,
    path: str,
    value: Any,
    purpose: Purpose,
    limit: int = MAX_NETWORKS_PER_POOL,
    parse: Callable[[str, Any, Purpose], Span] = parse_span,
) -> list[Span]:
    """Return the entries of a list in the order of the input; those that cannot be right are noted and left out."""
    spans = []
    count = 0
    nothing: list[tuple[str, Any]] = []
    for item_path, item in problems.attempt(nothing, read_items, path, value, limit):
        try:
            span = parse(item_path, item, purpose)
        except InputError as error:
            problems.note(error)
        else:
            spans.append(span)
            count += len(span.networks)
    if count > limit:
        problems.add(path, f"it comes to {count} networks, more than the {limit} that are allowed", "Declare fewer.")
    return spans


def canonical_networks(spans: Sequence[Span]) -> tuple[str, ...]:
    """Return the networks of the spans: IPv4 first, then by address."""
    if len(spans) < 2:
        return spans[0].networks if spans else ()
    return tuple(network for span in sorted(spans) for network in span.networks)


def canonical_addresses(spans: Sequence[Span]) -> tuple[str, ...]:
    """Return the addresses of the spans without length and without repetition: IPv4 first, then by address."""
    if len(spans) < 2:
        return (spans[0].text,) if spans else ()
    return tuple(dict.fromkeys(span.text for span in sorted(spans)))


def relation(inner: Span, outer: Span) -> str:
    """Return in words how the first of two overlapping spans lies to the second."""
    if (inner.first, inner.last) == (outer.first, outer.last):
        return "is the same as"
    if outer.first <= inner.first and inner.last <= outer.last:
        return "lies inside"
    if inner.first <= outer.first and outer.last <= inner.last:
        return "holds"
    return "overlaps"


def overlapping(spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Yield pairs of overlapping spans, the one that comes later in the sequence first.

    Sorting makes one pass enough. Each span that overlaps any other is in at least one pair, but not every pair of
    them is yielded.
    """
    widest: tuple[int, Span] | None = None
    for index in sorted(range(len(spans)), key=lambda position: spans[position][:3]):
        span = spans[index]
        if widest is None or widest[1].family != span.family:
            widest = (index, span)
            continue
        if span.first <= widest[1].last:
            yield (span, widest[1]) if index > widest[0] else (widest[1], span)
        if span.last > widest[1].last:
            widest = (index, span)


class SpanIndex:
    """Finds which of many spans overlaps a given one, without comparing it to all."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._firsts: dict[str, list[int]] = {family: [] for family in FAMILIES}
        self._reaching: dict[str, list[Span]] = {family: [] for family in FAMILIES}
        for span in sorted(spans):
            reaching = self._reaching[span.family]
            self._firsts[span.family].append(span.first)
            # Of all spans so far, the one that reaches furthest: if any of them overlaps, this one does.
            reaching.append(reaching[-1] if reaching and reaching[-1].last >= span.last else span)

    def find(self, span: Span) -> Span | None:
        """Return a span that overlaps the given one, or None."""
        position = bisect_right(self._firsts[span.family], span.last) - 1
        if position < 0:
            return None
        candidate = self._reaching[span.family][position]
        return candidate if candidate.last >= span.first else None
