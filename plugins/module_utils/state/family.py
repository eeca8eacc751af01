# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address families, and addresses and networks in canonical form, so that equal ones compare equal."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Union

IPV4 = "ipv4"
IPV6 = "ipv6"
FAMILIES = (IPV4, IPV6)
#: The families in messages.
FAMILY_NAMES = {IPV4: "IPv4", IPV6: "IPv6"}

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
#: The kernel's numbers of the families in netfilter (NFPROTO_*, include/uapi/linux/netfilter.h).
NFPROTO = {IPV4: 2, IPV6: 10}

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


def family_of(text: str) -> str:
    """Return ``ipv4`` or ``ipv6`` for an address or network in text form."""
    return IPV6 if ":" in text else IPV4


def everything(family: str) -> str:
    """Return the network of all addresses of the family, which iproute2 calls ``default`` or ``all``."""
    return "::/0" if family == IPV6 else "0.0.0.0/0"


def canonical_network(text: str, family: str = IPV4) -> str:
    """Return ``address/length`` as iproute2 prints it; a bare address becomes a host network.

    :param text: an address, a network, ``default`` or ``all``; ``""`` remains ``""``.
    :param family: the family of ``default``.
    :raises ValueError: not a network, or host bits are set.
    """
    if text in ("", "default", "all"):
        return everything(family) if text else ""
    return str(ipaddress.ip_network(text))


@lru_cache(maxsize=1 << 16)
def span(network: str) -> tuple[int, int]:
    """Return the first and the last address of a network (or of a single address) as numbers.

    :raises ValueError: not a network, or host bits are set.
    """
    parsed = ipaddress.ip_network(network)
    return int(parsed.network_address), int(parsed.broadcast_address)


def contains(network: str, other: str) -> bool:
    """Whether ``other``, an address or network, is within ``network``; never across families."""
    if (":" in network) != (":" in other):
        return False
    first, last = span(network)
    inner_first, inner_last = span(other)
    return first <= inner_first and inner_last <= last


def covering(networks: Iterable[str], other: str) -> str:
    """Return the first of ``networks`` that contains ``other``, or ``""``."""
    return next((network for network in networks if contains(network, other)), "")


def collapse(networks: Iterable[str]) -> tuple[str, ...]:
    """Return the fewest networks with exactly the addresses of these addresses and networks, IPv4 first."""
    by_family: dict[str, list[tuple[int, int]]] = {family: [] for family in FAMILIES}
    for network in networks:
        by_family[family_of(network)].append(span(network))
    return tuple(network for family in FAMILIES for network in _summary(family, sorted(by_family[family])))


def _summary(family: str, spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    """Yield the networks of these sorted spans."""
    address_type = ipaddress.IPv6Address if family == IPV6 else ipaddress.IPv4Address
    joined: list[list[int]] = []
    for first, last in spans:
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    for first, last in joined:
        yield from map(str, ipaddress.summarize_address_range(address_type(first), address_type(last)))


def full_length(family: str) -> int:
    """Return the prefix length of a single address: 32 or 128 bits."""
    return 128 if family == IPV6 else 32
