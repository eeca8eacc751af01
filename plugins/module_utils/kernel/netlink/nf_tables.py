# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel itself says of nf_tables, without the program ``nft``, which a node need not have."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from ...errors import NodeError
from ...state.family import IPV4, IPV6

_NETLINK_NETFILTER = 12  # include/uapi/linux/netlink.h
_REQUEST, _DUMP = 0x1, 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES, include/uapi/linux/netfilter/nfnetlink.h
# include/uapi/linux/netfilter/nf_tables.h: NFT_MSG_GETTABLE, GETCHAIN, GETGEN; NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, _NAME
_GET_TABLE, _GET_CHAIN, _GET_GENERATION = 1, 4, 16
_TABLE_NAME, _CHAIN_TABLE, _CHAIN_NAME = 1, 1, 3
_FAMILY_NUMBERS = {IPV4: 2, IPV6: 10}
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}  # include/uapi/linux/netfilter.h
_TRIES = 20
_PATIENCE = 60  # seconds; the kernel may have to load a module

_Message = tuple[int, int, bytes]  # type, flags, content


def kernel_has_nf_tables() -> bool:
    """Whether the kernel has nf_tables, which it is asked to load; True where it does not say.

    Without it the kernel takes any such request for an invalid one (nfnetlink_rcv_msg, net/netfilter/nfnetlink.c), and
    without netfilter's netlink there is not even the socket. Any other refusal may come from a kernel that has tables.
    """
    try:
        ((kind, _flags, content),) = _ask(_GET_GENERATION)
    except OSError as error:
        return error.errno != errno.EPROTONOSUPPORT
    return not (kind == _ERROR and _code(content) == errno.EINVAL)


def nft_tables() -> frozenset[tuple[str, str]]:
    """Return family and name of all tables; none where the kernel cannot say."""
    try:
        objects = [content for kind, _flags, content in _ask(_GET_TABLE, dump=True) if kind not in (_ERROR, _DONE)]
    except OSError:
        return frozenset()
    named = ((_FAMILIES.get(content[0], str(content[0])), _names(content)) for content in objects)
    return frozenset((family, names[_TABLE_NAME]) for family, names in named if _TABLE_NAME in names)


def nft_chains(family: str, table: str) -> frozenset[str]:
    """Return the names of the chains of one table that iptables uses, whoever wrote them.

    :param family: ``ipv4`` or ``ipv6``.
    :raises NodeError: the kernel does not tell.
    """
    found: set[str] = set()
    for _attempt in range(_TRIES):
        try:
            messages = list(_ask(_GET_CHAIN, _FAMILY_NUMBERS[family], dump=True))
        except OSError as error:
            raise NodeError(f"The kernel does not list the chains of nf_tables: {error.strerror or error}.") from error
        for _kind, _flags, content in messages[:-1]:
            names = _names(content)
            if names.get(_CHAIN_TABLE) == table:
                found.add(names.get(_CHAIN_NAME, ""))
        code = _code(messages[-1][2])
        if not code and not any(flags & _INTERRUPTED for _kind, flags, _content in messages):
            return frozenset(found)
        if code not in (0, errno.EINTR):
            raise NodeError(f"The kernel does not list the chains of nf_tables: {os.strerror(code)}.")
    raise NodeError(
        f"The chains of nf_tables changed during each of {_TRIES} reads. Try again when the node is quieter."
    )


def _ask(request: int, family: int = 0, *, dump: bool = False) -> Iterator[_Message]:
    """Send one request and yield the answers: one, or with ``dump`` all up to the one that says that it is the last."""
    flags = _REQUEST | (_DUMP if dump else 0)
    message = struct.pack("=IHHIIBBH", 20, (_SUBSYSTEM << 8) | request, flags, 1, 0, family, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        kernel.settimeout(_PATIENCE)
        kernel.send(message)
        while True:
            for answer in _messages(kernel.recv(1 << 17)):
                yield answer
                if not dump or answer[0] in (_ERROR, _DONE):
                    return


def _code(content: bytes) -> int:
    """Return the positive number of the error that the content begins with, 0 for none."""
    return -int(struct.unpack_from("=i", content)[0])


def _messages(data: bytes) -> Iterator[_Message]:
    while len(data) >= 16:
        length, kind, flags = struct.unpack_from("=IHH", data)
        yield kind, flags, data[16:length]
        data = data[max(16, (length + 3) & ~3) :]


def _names(content: bytes) -> dict[int, str]:
    """Return the attributes of an object that are text, by number."""
    names = {}
    data = content[4:]  # struct nfgenmsg
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        names[number & 0x3FFF] = data[4:length].rstrip(b"\0").decode(errors="replace")
        data = data[max(4, (length + 3) & ~3) :]
    return names
