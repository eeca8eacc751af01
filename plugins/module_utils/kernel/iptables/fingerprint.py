# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether tables of iptables have changed, without running a program.

The kernel returns the rules of a table as bytes, over netlink for nf_tables and with ``IPT_SO_GET_ENTRIES`` for legacy tables. They
are compared without their counters.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator
from hashlib import blake2b

from ...errors import NodeError
from ...state.family import IPV4, IPV6
from ..families import NETWORK, kernel_families
from ..netlink.nf_tables import nft_content

# include/uapi/linux/netfilter_ipv4/ip_tables.h: IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES; those of IPv6 are the same.
_GET_INFO, _GET_ENTRIES = 64, 65
_NAME = 32  # XT_TABLE_MAXNAMELEN
#: struct ipt_getinfo: name, valid_hooks, hook_entry, underflow, num_entries, size
_INFO = struct.Struct(f"={_NAME}sI5I5III")
#: struct ipt_get_entries: name and size, then the entries, which begin at a multiple of eight bytes.
_ENTRIES = struct.Struct(f"={_NAME}sI4x")
#: Size of struct ipt_entry and ip6t_entry, which end with two counters of 64 bits, and the offset of next_offset in them.
_LAYOUT = {IPV4: (112, 90), IPV6: (168, 142)}
_COUNTERS = 16


def fingerprint(variant: str, tables: Collection[str]) -> bytes | None:
    """Return a value that differs if a rule of one of these tables has been added, deleted, moved or replaced since.

    :param variant: ``nft`` or ``legacy``.
    :return: None if that is unknown: no nf_tables, no ctypes, no privileges.
    """
    digest = blake2b(digest_size=16)
    try:
        for family in kernel_families():
            for table in tables:
                parts = nft_content(family, table) if variant == "nft" else _legacy_entries(family, table)
                for part in parts:
                    digest.update(part)
                digest.update(b"end of the table")
    except (OSError, NodeError, ImportError, MemoryError, struct.error):
        # ctypes may need memory that is writable and executable, which the unit does not allow (MemoryDenyWriteExecute).
        return None
    return digest.digest()


def _legacy_entries(family: str, table: str) -> Iterator[bytes]:
    """Yield the entries of a legacy table without their counters; none if it does not exist: asking would create it."""
    names = (NETWORK / ("ip_tables_names" if family == IPV4 else "ip6_tables_names")).read_text(encoding="ascii")
    if table not in names.split():
        return
    kind, level = (socket.AF_INET, socket.IPPROTO_IP) if family == IPV4 else (socket.AF_INET6, socket.IPPROTO_IPV6)
    name = table.encode()
    with socket.socket(kind, socket.SOCK_DGRAM) as asking:
        *_rest, size = _INFO.unpack(_getsockopt(asking, level, _GET_INFO, _INFO.pack(name, *([0] * 13))))
        answer = _getsockopt(asking, level, _GET_ENTRIES, _ENTRIES.pack(name, size) + bytes(size))
    entries = memoryview(answer)[_ENTRIES.size :]
    header, next_offset = _LAYOUT[family]
    start = 0
    while start < size:
        (following,) = struct.unpack_from("=H", entries, start + next_offset)
        if following < header:
            raise OSError(f"an entry of {table} has {following} bytes")
        yield bytes(entries[start : start + header - _COUNTERS])
        yield bytes(entries[start + header : start + following])
        start += following


def _getsockopt(asking: socket.socket, level: int, option: int, question: bytes) -> bytes:
    """Return the value of an option that is asked for with a value; Python's own function passes none.

    :raises OSError: EPERM without CAP_NET_ADMIN; EAGAIN, the table has just changed its size.
    """
    import ctypes  # noqa: PLC0415 - only for legacy tables; it takes memory and time

    library = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(question, len(question))
    length = ctypes.c_uint32(len(question))
    if library.getsockopt(asking.fileno(), level, option, buffer, ctypes.byref(length)):
        raise OSError(ctypes.get_errno(), "getsockopt failed")
    return buffer.raw[: length.value]
