# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that drop many sources, arranged so that a packet is compared with few of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from ..state.chain import NAME_LENGTH
from ..state.family import IPV6, full_length, span

MAX_SOURCES = 32  # rules in one chain before it is split by the next bits of the sources
_BITS = 4  # by which a chain is split: into 16 at most


def source_chains(name: str, family: str, sources: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return chains by name, of which the first drops packets from these networks and lets all others return.

    Go to that chain, do not jump: packets return from it as from its caller.

    :param sources: networks of the family, no two of which overlap if there are many.
    """
    chains: dict[str, tuple[str, ...]] = {}
    _add(chains, name, family, sources, separator="-")
    return chains


def _add(
    chains: dict[str, tuple[str, ...]], name: str, family: str, sources: Sequence[str], separator: str = ""
) -> None:
    """Add the chain for these sources, and those that it leads to."""
    if len(sources) <= MAX_SOURCES or len(name) + len(separator) >= NAME_LENGTH:
        chains[name] = tuple(_drop(sources))
        return
    spans = {source: span(source) for source in sources}
    bits = full_length(family)
    common = (
        bits
        - (min(first for first, _last in spans.values()) ^ max(last for _first, last in spans.values())).bit_length()
    )
    host_bits = max(0, bits - common - _BITS)
    whole: list[str] = []
    parts: dict[int, list[str]] = {}
    for source, (first, last) in spans.items():
        if first >> host_bits == last >> host_bits:
            parts.setdefault(first >> host_bits, []).append(source)
        else:
            whole.append(source)  # wider than a part
    rules = list(_drop(whole))
    chains[name] = ()  # before those that it leads to
    for number in sorted(parts):
        if len(parts[number]) == 1:
            rules += _drop(parts[number])
            continue
        child = f"{name}{separator}{number % (1 << _BITS):x}"
        rules.append(f"-s {_network(family, number << host_bits, bits - host_bits)} -g {child}")
        _add(chains, child, family, parts[number])
    chains[name] = tuple(rules)


def _drop(sources: Iterable[str]) -> Iterable[str]:
    return (f"-s {source} -j DROP" for source in sources)


def _network(family: str, number: int, length: int) -> str:
    address = ipaddress.IPv6Address(number) if family == IPV6 else ipaddress.IPv4Address(number)
    return f"{address}/{length}"
