# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes the addresses of interfaces."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...state import Address, Interface, Ownership
from ...state.family import IPV4, IPV6
from ...state.step import Step, StepsFailed
from ..families import kernel_families
from .codec import Fields, address_bytes, address_text, number, packed
from .flushed_routes import FlushedRoutes
from .links import IndexOf
from .rtnetlink import AF_OF_FAMILY, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, Rtnetlink
from .steps import send_steps
from .wire import NLM_F_CREATE, NLM_F_EXCL, Request

_NODAD, _NOPREFIXROUTE = 0x02, 0x200  # IFA_F_*, include/uapi/linux/if_addr.h
# struct ifa_cacheinfo: preferred and valid seconds. Without it, the node's own IPv6 traffic that leaves a shared link via the
# default route could get an address of the pool as its source (RFC 6724, rule 3).
_NEVER_PREFERRED = struct.pack("=4I", 0, 0xFFFFFFFF, 0, 0)
_PROTOCOL_SINCE = (5, 18)  # IFA_PROTO

HINTS = {
    errno.EEXIST: "the interface already has this address, possibly as a foreign one",
    errno.EADDRNOTAVAIL: "the interface does not have this address",
    errno.EACCES: "IPv6 is disabled on the interface: see its sysctl disable_ipv6",
}


@dataclass(frozen=True)
class Addresses:
    """The addresses of a node.

    :param managed: addresses with the protocol number of :class:`Ownership`; none if the kernel does not store it.
    :param carry_protocol: whether the kernel stores the protocol number of an address (Linux 5.18 and later).
    """

    managed: frozenset[Address]
    foreign: frozenset[Address]
    carry_protocol: bool

    def on(self, interfaces: Mapping[str, Interface]) -> dict[str, Interface]:
        """Return the interfaces with all their addresses, sorted."""
        by_interface: dict[str, list[str]] = {}
        for address in sorted(self.managed | self.foreign):
            by_interface.setdefault(address.interface, []).append(address.address)
        return {name: replace(one, addresses=tuple(by_interface.get(name, ()))) for name, one in interfaces.items()}


def read_addresses(netlink: Rtnetlink, ownership: Ownership, names: Mapping[int, str]) -> Addresses:
    """Return every address of every interface.

    :param names: interfaces by index.
    :raises NodeError: the kernel does not list its addresses.
    """
    managed: set[Address] = set()
    foreign: set[Address] = set()
    seen_protocol = False
    for family in kernel_families():
        request: Fields = {"family": AF_OF_FAMILY[family]}
        for fields in netlink.dump_fields(RTM_GETADDR, netlink.formats.address, f"{family} addresses", request):
            seen_protocol = seen_protocol or "IFA_PROTO" in fields
            is_managed = fields.get("IFA_PROTO") == ownership.protocol
            (managed if is_managed else foreign).add(_address(fields, names))
    return Addresses(frozenset(managed), frozenset(foreign), seen_protocol or kernel_version() >= _PROTOCOL_SINCE)


def addresses_carry_protocol(netlink: Rtnetlink) -> bool:
    """Whether the kernel stores the protocol number of an address: some address has one, or the kernel is new enough.

    The version alone does not decide: distributions backport the feature.
    """
    return read_addresses(netlink, Ownership(), {}).carry_protocol


def kernel_version() -> tuple[int, int]:
    """Return the first two numbers of the running kernel's release."""
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def _address(fields: Fields, names: Mapping[int, str]) -> Address:
    # On a point-to-point link IFA_ADDRESS is the peer's address, and the node's own is IFA_LOCAL.
    own = packed(fields, "IFA_LOCAL") or packed(fields, "IFA_ADDRESS")
    index = number(fields, "index")
    return Address(names.get(index, f"index {index}"), f"{address_text(own)}/{number(fields, 'prefixlen')}")


def write_addresses(netlink: Rtnetlink, steps: Sequence[Step], ownership: Ownership) -> None:
    """Add (``noprefixroute``; IPv6 also ``nodad preferred_lft 0``) and delete addresses, in order.

    :raises StepsFailed: see :func:`send_steps`; or foreign routes are lost with an address, see :class:`FlushedRoutes`.
    """
    index_of = IndexOf()
    carry_protocol = addresses_carry_protocol(netlink)

    def encode(step: Step) -> list[Request]:
        after, before = step.after, step.before
        if isinstance(after, Address) and before is None:
            fields = _fields(after, index_of)
            fields["IFA_FLAGS"] = _NOPREFIXROUTE | (_NODAD if after.family == IPV6 else 0)
            fields.update({"IFA_CACHEINFO": _NEVER_PREFERRED} if after.family == IPV6 else {})
            fields.update({"IFA_PROTO": ownership.protocol} if carry_protocol else {})
            return [Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, netlink.formats.address.encode(fields))]
        if isinstance(before, Address) and after is None:
            return [Request(RTM_DELADDR, 0, netlink.formats.address.encode(_fields(before, index_of)))]
        raise TypeError(f"not a step that adds or deletes an address: {step!r}")

    deletions = [step for step in steps if step.after is None]
    ipv4 = [step.before for step in deletions if isinstance(step.before, Address) and step.before.family == IPV4]
    deleted = frozenset(address_bytes(one.address.partition("/")[0]) for one in ipv4)
    flushed = FlushedRoutes(netlink, deleted, _indexes({one.interface for one in ipv4}))
    failure = None
    try:
        send_steps(netlink, steps, encode, HINTS)
    except StepsFailed as error:
        failure = error
    problem = flushed.add_again()
    if failure:
        reason = "; ".join(filter(None, (failure.reason, problem)))
        raise StepsFailed(failure.done, failure.failed, reason, failure.unsure) from failure
    if problem:
        raise StepsFailed(tuple(steps), deletions[-1], problem)


def _indexes(names: Iterable[str]) -> frozenset[int]:
    """Return the indexes of these links, as far as they exist."""
    existing = {name: index for index, name in socket.if_nameindex()} if names else {}
    return frozenset(existing[name] for name in names if name in existing)


def _fields(address: Address, index_of: IndexOf) -> Fields:
    text, _slash, length = address.address.partition("/")
    own = address_bytes(text)
    return {
        "family": AF_OF_FAMILY[address.family],
        "prefixlen": int(length),
        "index": index_of(address.interface),
        "IFA_LOCAL": own,
        "IFA_ADDRESS": own,
    }
