# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, networks and ranges as a user writes them, and the special-purpose ranges that are refused."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Callable, NamedTuple

from ..errors import InputError
from ..state.family import FAMILIES, FAMILY_NAMES, IPV4, IPV6, canonical_network, full_length
from .model import MAX_NETWORKS_PER_POOL
from .option_reader import ErrorCollector
from .values import printable, read_items, read_text

#: A shorter prefix contains more than 1/256 of all addresses of its family.
SHORTEST_LENGTH = 8

_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")
_LONGEST_ADDRESS = 45  # characters: an IPv6 address that ends as an IPv4 address
_LENGTH = re.compile(r"[0-9]{1,3}")
_NETWORK_REMEDY = "Write an address, a network as address/length, or a range as first-last."


class SpecialRange(NamedTuple):
    """A special-purpose range of addresses (IANA registries, RFC 6890) that a pool cannot use.

    :param name: what the range is called, ``link-local``.
    :param reason: why it cannot be used, as a relative clause.
    """

    family: str
    first: int
    last: int
    network: str
    name: str
    reason: str


def _special(network: str, name: str, reason: str) -> SpecialRange:
    parsed = ipaddress.ip_network(network)
    family = IPV6 if parsed.version == 6 else IPV4
    return SpecialRange(family, int(parsed.network_address), int(parsed.broadcast_address), network, name, reason)


_SPECIAL_RANGES = (
    _special("0.0.0.0/8", "unspecified", "which mean 'this host' and are never a destination"),
    _special("127.0.0.0/8", "loopback", "which never leave a node"),
    _special("169.254.0.0/16", "link-local", "which no router forwards"),
    _special("224.0.0.0/4", "multicast", "which belong to groups, not to a service"),
    _special("240.0.0.0/4", "reserved (class E)", "which routers and hosts drop"),
    _special("::/128", "unspecified", "which means 'no address' and is never a destination"),
    _special("::1/128", "loopback", "which never leaves a node"),
    _special("::ffff:0:0/96", "IPv4-mapped", "which exist only in programs; their packets are IPv4"),
    # Without the first two, which are the unspecified and the loopback address above.
    _special("::/96", "IPv4-compatible", "which are deprecated (RFC 4291)")._replace(first=2),
    _special("fe80::/10", "link-local", "which no router forwards"),
    _special("ff00::/8", "multicast", "which belong to groups, not to a service"),
)
_RANGES_OF_FAMILY = {family: tuple(one for one in _SPECIAL_RANGES if one.family == family) for family in FAMILIES}


class Purpose(NamedTuple):
    """What addresses are used for, which decides which ones are allowed.

    :param remedy: what to do if they are refused.
    :param allowed: pairs of family and name of the special-purpose ranges that are allowed.
    :param shortest_length: of the prefix of a network.
    """

    remedy: str
    allowed: frozenset[tuple[str, str]] = frozenset()
    shortest_length: int = SHORTEST_LENGTH


def special_ranges_except(*names: str) -> frozenset[tuple[str, str]]:
    """Return the special-purpose ranges of both families without those of these names, for :class:`Purpose`."""
    return frozenset((one.family, one.name) for one in _SPECIAL_RANGES if one.name not in names)


class Span(NamedTuple):
    """The contiguous addresses that one entry of the input stands for.

    Numbers instead of ``ipaddress`` objects, and a tuple instead of a dataclass, so that 1,000 pools are compared in
    milliseconds.

    :param path: of the entry in the input.
    :param text: the entry in canonical form, for messages.
    :param networks: canonical ``address/length``, in order; a range may need several.
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
    """Return an address, a network or a range.

    :raises InputError: it is none of these, or has addresses that the purpose does not allow.
    """
    text = read_text(path, value).strip()
    return _parse_range(path, text, purpose) if "-" in text else _parse_network(path, text, purpose, _NETWORK_REMEDY)


def parse_network(path: str, value: Any, purpose: Purpose) -> Span:
    """Return an address or a network.

    :raises InputError: it is neither, or has addresses that the purpose does not allow.
    """
    return _parse_network(path, read_text(path, value).strip(), purpose, purpose.remedy)


def parse_address(path: str, value: Any, purpose: Purpose) -> Span:
    """Return one address, whose text has no length; it may be written with the full length.

    :raises InputError: it is not one address, or the purpose does not allow it.
    """
    text = read_text(path, value).strip()
    address_text, slash, length_text = text.partition("/")
    if "-" in text or (slash and length_text not in ("32", "128")):
        raise InputError(
            path, f"{printable(text)} is not a single address", "Write the address alone, without a length."
        )
    family, number, address = _parse_address(path, address_text, purpose.remedy)
    if slash and length_text != str(full_length(family)):
        raise InputError(path, f"{printable(text)} is not a single address", f"Write {address} alone.")
    _refuse_special_ranges(path, address, family, number, number, purpose)
    return Span(family, number, number, path, address, (f"{address}/{full_length(family)}",))


def _parse_network(path: str, text: str, purpose: Purpose, remedy: str) -> Span:
    address_text, slash, length_text = text.partition("/")
    family, number, address = _parse_address(path, address_text, remedy)
    bits = full_length(family)
    length = _parse_length(path, text, length_text, bits) if slash else bits
    _check_length(path, text, family, length, purpose)
    size = 1 << (bits - length)
    if number & (size - 1):
        network = f"{format_address(family, number & -size)}/{length}"
        raise InputError(
            path,
            f"{printable(text)} is not a network, because host bits are set after the first {length} bits",
            f"Write {network} for the network, or {address} for the one address.",
        )
    _refuse_special_ranges(path, text, family, number, number + size - 1, purpose)
    canonical = f"{address}/{length}"
    return Span(family, number, number + size - 1, path, canonical, (canonical,))


def _parse_length(path: str, text: str, length_text: str, bits: int) -> int:
    if _LENGTH.fullmatch(length_text) and int(length_text) <= bits:
        return int(length_text)
    problem = f"{printable(text)} has no number from 0 to {bits} after the slash"
    try:
        remedy = f"Write {canonical_network(text)}."
    except ValueError:
        remedy = "Write the prefix length in bits, as in 192.0.2.0/24."
    raise InputError(path, problem, remedy)


def _check_length(path: str, text: str, family: str, length: int, purpose: Purpose) -> None:
    if length >= purpose.shortest_length:
        return
    if length == 0:
        raise InputError(path, f"{printable(text)} covers every {FAMILY_NAMES[family]} address", purpose.remedy)
    raise _too_large(path, text, purpose)


def _too_large(path: str, text: str, purpose: Purpose) -> InputError:
    problem = f"{printable(text)} is larger than a /{purpose.shortest_length}, so it is probably a mistake"
    return InputError(path, problem, purpose.remedy)


def _parse_range(path: str, text: str, purpose: Purpose) -> Span:
    ends = [end.strip() for end in text.split("-")]
    remedy = "Write both ends as whole addresses, as in 192.0.2.10-192.0.2.60."
    if len(ends) != 2 or "/" in text or not all(ends):
        raise InputError(path, f"{printable(text)} is not a range of addresses", remedy)
    family, first, first_text = _parse_address(path, ends[0], remedy)
    last_family, last, last_text = _parse_address(path, ends[1], remedy)
    if family != last_family:
        problem = f"{printable(text)} begins as {FAMILY_NAMES[family]} and ends as {FAMILY_NAMES[last_family]}"
        raise InputError(path, problem, "Write one range for each family.")
    if first > last:
        problem = f"{printable(text)} ends before it begins"
        raise InputError(path, problem, f"Write {last_text}-{first_text} if that is what you mean.")
    if last - first >= 1 << (full_length(family) - purpose.shortest_length):
        raise _too_large(path, text, purpose)
    _refuse_special_ranges(path, text, family, first, last, purpose)
    networks = tuple(summarize(family, first, last))
    return Span(family, first, last, path, f"{first_text}-{last_text}", networks)


def _refuse_special_ranges(path: str, text: str, family: str, first: int, last: int, purpose: Purpose) -> None:
    """Refuse the addresses from ``first`` to ``last`` if any of them is in a range that the purpose does not allow."""
    for special in _RANGES_OF_FAMILY[family]:
        if first <= special.last and last >= special.first and (family, special.name) not in purpose.allowed:
            relation = "is inside" if special.first <= first and last <= special.last else "contains"
            plural = "es" if special.last > special.first else ""
            noun = f"the {special.name} address{plural} ({special.network})"
            raise InputError(path, f"{printable(text)} {relation} {noun}, {special.reason}", purpose.remedy)


def _parse_address(path: str, text: str, remedy: str) -> tuple[str, int, str]:
    """Return the family, the number and the canonical text of any address."""
    if "%" in text:
        problem = f"{printable(text)} has a zone identifier, but the interface is given by another option"
        raise InputError(path, problem, "Leave out the % and what follows.")
    if len(text) > _LONGEST_ADDRESS:
        raise InputError(path, f"{printable(text)} is too long for an address", remedy)
    if ":" not in text and _LEADING_ZERO.search(text):
        problem = f"{printable(text)} has a leading zero, which some programs read as octal"
        raise InputError(path, problem, "Leave out the zero.")
    try:
        return _address(text)
    except ValueError:
        raise InputError(path, f"{printable(text)} is neither an IPv4 nor an IPv6 address", remedy) from None


# Many pools have the same gateways, on-link networks and denied sources; each is parsed once.
@lru_cache(maxsize=4096)
def _address(text: str) -> tuple[str, int, str]:
    if ":" in text:
        address = ipaddress.IPv6Address(text)
        return IPV6, int(address), str(address)
    return IPV4, int(ipaddress.IPv4Address(text)), text


def format_address(family: str, number: int) -> str:
    """Return an address as the kernel prints it."""
    return str(ipaddress.IPv6Address(number) if family == IPV6 else ipaddress.IPv4Address(number))


def summarize(family: str, first: int, last: int) -> Iterator[str]:
    """Yield the fewest networks that cover exactly the addresses from ``first`` to ``last``, in order."""
    bits = full_length(family)
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else bits
        available = (last - first + 1).bit_length() - 1
        host_bits = min(aligned, available)
        yield f"{format_address(family, first)}/{bits - host_bits}"
        first += 1 << host_bits


def read_spans(
    errors: ErrorCollector,
    path: str,
    value: Any,
    purpose: Purpose,
    limit: int = MAX_NETWORKS_PER_POOL,
    parse: Callable[[str, Any, Purpose], Span] = parse_span,
) -> tuple[Span, ...]:
    """Return the entries of a list in the order of the input; an invalid one is an error and left out."""
    spans = []
    count = 0
    nothing: list[tuple[str, Any]] = []
    for item_path, item in errors.read(nothing, read_items, path, value, limit):
        try:
            span = parse(item_path, item, purpose)
        except InputError as error:
            errors.append(error)
        else:
            spans.append(span)
            count += len(span.networks)
    if count > limit:
        problem = f"the entries come to {count} networks, more than the {limit} that are allowed"
        errors.add(path, problem, "Declare fewer.")
    return tuple(spans)


def canonical_networks(spans: Sequence[Span]) -> tuple[str, ...]:
    """Return the networks of the spans: IPv4 first, then by address."""
    if len(spans) < 2:
        return spans[0].networks if spans else ()
    return tuple(network for span in sorted(spans) for network in span.networks)


def canonical_addresses(spans: Sequence[Span]) -> tuple[str, ...]:
    """Return the addresses of the spans without length and without duplicates: IPv4 first, then by address."""
    if len(spans) < 2:
        return (spans[0].text,) if spans else ()
    return tuple(dict.fromkeys(span.text for span in sorted(spans)))


def relation(inner: Span, outer: Span) -> str:
    """Return in words how the first of two overlapping spans relates to the second."""
    if (inner.first, inner.last) == (outer.first, outer.last):
        return "is the same as"
    if outer.first <= inner.first and inner.last <= outer.last:
        return "lies inside"
    if inner.first <= outer.first and outer.last <= inner.last:
        return "contains"
    return "overlaps"


def overlapping(spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Yield pairs of overlapping spans, the one that comes later in the sequence first.

    Sorting makes one pass enough. Each span that overlaps any other is in at least one pair, but not every pair is
    yielded.
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
    """Finds which of many spans overlaps a given one, without comparing it with all."""

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
