# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single addresses, and the parts of the address space that cannot be used for a purpose."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from ..errors import InputError
from ..state.family import IPV4, IPV6
from .values import shown

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
