# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the kernel has nf_tables at all, by the kernel's own answer."""

from __future__ import annotations

import errno
import socket
import struct

_NETLINK_NETFILTER = 12  # include/uapi/linux/netlink.h
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES, include/uapi/linux/netfilter/nfnetlink.h
_GET_GENERATION = 16  # NFT_MSG_GETGEN, include/uapi/linux/netfilter/nf_tables.h
_REQUEST, _ERROR = 0x1, 2  # NLM_F_REQUEST, NLMSG_ERROR
_ANSWER = struct.Struct("=IHHIIi")  # struct nlmsghdr, and the number that an error begins with


def kernel_has_nf_tables() -> bool:
    """Whether the kernel has nf_tables, which it is asked to load; True where it does not say.

    Without it the kernel takes any such request for an invalid one (nfnetlink_rcv_msg, net/netfilter/nfnetlink.c), and
    without netfilter's netlink there is not even the socket. Any other refusal may come from a kernel that has tables.
    """
    message = struct.pack("=IHHIIBBH", 20, (_SUBSYSTEM << 8) | _GET_GENERATION, _REQUEST, 1, 0, 0, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
            kernel.settimeout(60)  # seconds; it may have to load the module
            kernel.send(message)
            answer = kernel.recv(4096)
    except OSError as error:
        return error.errno != errno.EPROTONOSUPPORT
    _length, kind, _flags, _number, _port, code = _ANSWER.unpack_from(answer)
    return not (kind == _ERROR and code == -errno.EINVAL)
