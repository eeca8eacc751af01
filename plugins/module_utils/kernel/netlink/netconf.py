# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which links forward packets: one question for all links, instead of a file in /proc/sys for each."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ..families import kernel_families
from .rtnetlink import AF_OF_FAMILY, RTM_GETNETCONF, Rtnetlink
from .wire import find

_HEADER_SIZE = 4  # of struct netconfmsg with its padding
_NETCONFA_IFINDEX, _NETCONFA_FORWARDING = 1, 2  # include/uapi/linux/netconf.h
_INTEGER = struct.Struct("=i")
_OFF = _INTEGER.pack(0)
#: NETCONFA_IFINDEX_ALL and NETCONFA_IFINDEX_DEFAULT
_SCOPES = {-1: "all", -2: "default"}


def not_forwarding(netlink: Rtnetlink, names: Mapping[int, str]) -> frozenset[tuple[str, str]]:
    """Return family and name of the links whose sysctl ``forwarding`` is 0, ``all`` and ``default`` included.

    :param names: links by index.
    :raises NodeError: the kernel does not list them.
    """

    def is_off(buffer: bytearray, start: int, stop: int) -> bool:
        return find(buffer, start + _HEADER_SIZE, stop, _NETCONFA_FORWARDING) == _OFF

    def name_of(buffer: bytearray, start: int, stop: int) -> str:
        (index,) = _INTEGER.unpack(find(buffer, start + _HEADER_SIZE, stop, _NETCONFA_IFINDEX))
        return _SCOPES.get(index) or names.get(index, "")

    found = set()
    for family in kernel_families():
        body = struct.pack("=B3x", AF_OF_FAMILY[family])
        for name in netlink.dump(RTM_GETNETCONF, body, name_of, f"{family} settings of links", is_off):
            found.add((family, name))
    return frozenset(found)
