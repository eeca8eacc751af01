# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain rtnetlink socket: whole dumps, and many changes to a send, each with its own answer."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType

from ...errors import NodeError
from ...paths import PYROUTE2_DIRECTORY
from ...state.extra_attributes import Value
from .codec import Fields, MessageFormat
from .pyroute2_loader import Pyroute2, find_pyroute2, load_message_classes

# include/uapi/linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

# include/uapi/linux/netlink.h
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
_NLM_F_DUMP_INTR, _NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h; the socket module does not name it

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")

RECEIVE_BUFFER = 4 << 20  # bytes asked for; answers to one send must fit, or the kernel throws them away
ANSWER_COST = 2304  # bytes of the receive buffer that one answer is charged with at most, its sk_buff included
MESSAGES_PER_SEND = 200
BYTES_PER_SEND = 64 << 10
DUMP_BUFFER = 256 << 10  # bytes; the kernel fills at most 32 KiB at once unless one object alone needs more
DUMP_TRIES = 20
ANSWER_TIMEOUT = 60  # seconds; a change may have to wait for a kernel module to load

#: Python knows the number 95 as ENOTSUP; the kernel and everybody who searches for it say EOPNOTSUPP.
_ERRNO_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EAGAIN: "EAGAIN"}

AF_OF_FAMILY = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
FAMILY_OF_AF = {number: name for name, number in AF_OF_FAMILY.items()}

#: Whether an object concerns whoever asks: given a buffer, and where in it the object's content starts and stops.
Concerns = Callable[[bytearray, int, int], bool]


@dataclass(frozen=True)
class Formats:
    """The formats of the messages that this collection reads and writes."""

    route: MessageFormat
    nexthop: MessageFormat
    rule: MessageFormat
    address: MessageFormat
    link: MessageFormat
    link_info: MessageFormat
    vlan: MessageFormat
    macvlan: MessageFormat


@dataclass(frozen=True)
class Request:
    """One change: the message's type, its flags besides ``NLM_F_REQUEST`` and ``NLM_F_ACK``, and its content."""

    type: int
    flags: int
    body: bytes


@dataclass(frozen=True)
class Refusal:
    """The kernel's no: a positive ``errno`` and its own words, ``""`` where it gives none."""

    errno: int
    message: str = ""

    def __str__(self) -> str:
        name = _ERRNO_NAMES.get(self.errno, f"errno {self.errno}")
        return f"{name}: {self.message or os.strerror(self.errno)}"


@lru_cache(maxsize=4)
def load_formats(found: Pyroute2) -> Formats:
    """Return the message formats of one pyroute2, compiled."""
    classes = load_message_classes(found)
    return Formats(
        route=MessageFormat(classes.route, {30: ("RTA_NH_ID", "uint32")}),
        nexthop=MessageFormat(classes.nexthop),
        rule=MessageFormat(classes.rule),
        address=MessageFormat(classes.address, {9: ("IFA_RT_PRIORITY", "uint32"), 11: ("IFA_PROTO", "uint8")}),
        link=MessageFormat(classes.link),
        link_info=MessageFormat(classes.link_info, prefix="IFLA_INFO_"),
        vlan=MessageFormat(classes.vlan, prefix="IFLA_VLAN_"),
        macvlan=MessageFormat(classes.macvlan, prefix="IFLA_MACVLAN_"),
    )


class Rtnetlink:
    """An rtnetlink socket of the network namespace it is opened in; a context manager.

    :param formats: how messages look; by default those of the pyroute2 that this node has.
    :raises NodeError: there is no pyroute2 that will do.
    """

    def __init__(self, formats: Formats | None = None, extra_directory: str = PYROUTE2_DIRECTORY) -> None:
        self.formats = formats or load_formats(find_pyroute2(extra_directory))
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0
        self._buffer = bytearray(DUMP_BUFFER)
        self._socket.bind((0, 0))
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._try_option(_SOL_NETLINK, option, 1)  # kernels before 4.3, 4.12 and 4.20 lack them and do without
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", ANSWER_TIMEOUT, 0))
        self.resize_receive_buffer(RECEIVE_BUFFER)

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def resize_receive_buffer(self, size: int) -> None:
        """Ask for a receive buffer of this many bytes; without CAP_NET_ADMIN the kernel gives at most ``rmem_max``."""
        if not self._try_option(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._messages_per_send = max(1, min(MESSAGES_PER_SEND, granted // ANSWER_COST))

    def dump(
        self,
        message_type: int,
        message_format: MessageFormat,
        what: str,
        request: Mapping[str, Value],
        concerns: Concerns | None = None,
    ) -> list[Fields]:
        """Return all objects of one kind, as the kernel lists them.

        :param what: the objects, for the error: ``IPv4 routes``.
        :param request: fields of the request: the family, and filters where the kernel knows them.
        :param concerns: says of an object, as it came, whether to return it; the others cost next to nothing.
        :raises NodeError: the kernel refuses, or the objects change so fast that no dump is ever whole.
        """
        body = message_format.encode(request)
        for _attempt in range(DUMP_TRIES):
            objects, whole = self._dump_once(message_type, message_format, what, body, concerns)
            if whole:
                return objects
        raise NodeError(
            f"The kernel's {what} changed during each of {DUMP_TRIES} reads. Try again when the node is quieter."
        )

    def _dump_once(
        self, message_type: int, message_format: MessageFormat, what: str, body: bytes, concerns: Concerns | None
    ) -> tuple[list[Fields], bool]:
        """Return the objects and whether they are one consistent, complete list."""
        sequence = self._send([Request(message_type, NLM_F_DUMP, body)], acknowledge=False)
        objects: list[Fields] = []
        whole = True
        decode = message_format.decode
        family = body[0]  # the first byte of every kind of object; 0 asks for all
        while True:
            size, complete = self._receive(what)
            whole = whole and complete
            for kind, flags, number, start, stop in self._messages(size):
                if number != sequence:
                    continue  # an answer to an earlier request that was given up
                if flags & _NLM_F_DUMP_INTR:
                    whole = False
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    code = -_ERROR.unpack_from(self._buffer, start)[0] if stop - start >= _ERROR.size else 0
                    if code and code != errno.EINTR:
                        refusal = Refusal(code, self._kernel_text(kind, flags, start, stop))
                        raise NodeError(f"The kernel does not list its {what}: {refusal}.")
                    return objects, whole and not code
                # Asked for the routes of a family that it has not, the kernel lists those of all.
                if family and self._buffer[start] != family:
                    continue
                if concerns is None or concerns(self._buffer, start, stop):
                    objects.append(decode(self._buffer, start, stop))

    def batch(self, requests: Sequence[Request]) -> list[Refusal | None]:
        """Have the kernel do all requests in order, and return its answer to each: None is yes.

        The kernel goes on after a request it refuses, so each has its own answer.

        :raises NodeError: the kernel did not answer; then it is not known what took effect.
        """
        answers: list[Refusal | None] = []
        for part in self._parts(requests):
            answers += self._batch_once(part)
        return answers

    @property
    def messages_per_send(self) -> int:
        """How many requests one send may carry so that no answer can be lost."""
        return self._messages_per_send

    def _parts(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        part: list[Request] = []
        size = 0
        for request in requests:
            size += _HEADER.size + len(request.body)
            if part and (len(part) >= self._messages_per_send or size > BYTES_PER_SEND):
                yield part
                part, size = [], _HEADER.size + len(request.body)
            part.append(request)
        if part:
            yield part

    def _batch_once(self, requests: list[Request]) -> list[Refusal | None]:
        first = self._send(requests, acknowledge=True)
        answers: dict[int, Refusal | None] = {}
        while len(answers) < len(requests):
            size, _complete = self._receive("answers")
            for kind, flags, number, start, stop in self._messages(size):
                if kind != _NLMSG_ERROR or not first <= number < first + len(requests):
                    continue
                code = -_ERROR.unpack_from(self._buffer, start)[0]
                answers[number - first] = Refusal(code, self._kernel_text(kind, flags, start, stop)) if code else None
        return [answers[position] for position in range(len(requests))]

    def _send(self, requests: Sequence[Request], *, acknowledge: bool) -> int:
        """Send the requests as one, and return the sequence number of the first."""
        first = self._sequence + 1
        self._sequence += len(requests)
        flags = NLM_F_REQUEST | (NLM_F_ACK if acknowledge else 0)
        parts = []
        for number, request in enumerate(requests, start=first):
            parts.append(_HEADER.pack(_HEADER.size + len(request.body), request.type, request.flags | flags, number, 0))
            parts.append(request.body)
        self._socket.send(b"".join(parts))
        return first

    def _receive(self, what: str) -> tuple[int, bool]:
        """Receive one datagram; return its size and whether it fitted into the buffer, which grows if it did not."""
        try:
            size, _ancillary, flags, _sender = self._socket.recvmsg_into([self._buffer])
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise NodeError(f"The kernel sent no {what} over netlink within {ANSWER_TIMEOUT} s.") from error
            if error.errno == errno.ENOBUFS:
                raise NodeError(f"The kernel threw {what} away because the netlink receive buffer was full.") from error
            raise
        if flags & socket.MSG_TRUNC:
            self._buffer = bytearray(4 * len(self._buffer))
            return 0, False
        return size, True

    def _messages(self, size: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield type, flags, sequence number, start and end of the content of each message in the buffer."""
        offset = 0
        unpack = _HEADER.unpack_from
        while offset + _HEADER.size <= size:
            length, kind, flags, number, _port = unpack(self._buffer, offset)
            if length < _HEADER.size or offset + length > size:
                raise NodeError(f"The kernel sent a netlink message of {length} bytes where {size - offset} were left.")
            yield kind, flags, number, offset + _HEADER.size, offset + length
            offset += (length + 3) & ~3

    def _kernel_text(self, kind: int, flags: int, start: int, stop: int) -> str:
        """Return the kernel's own words in an error (``NLMSGERR_ATTR_MSG``), or ``""``."""
        if not flags & _NLM_F_ACK_TLVS:
            return ""
        offset = start + _ERROR.size
        if kind == _NLMSG_ERROR:  # then the request follows, its header alone where the answer is capped
            (length,) = struct.unpack_from("=I", self._buffer, offset)
            offset += _HEADER.size if flags & _NLM_F_CAPPED else (length + 3) & ~3
        while offset + _ATTRIBUTE.size <= stop:
            length, number = _ATTRIBUTE.unpack_from(self._buffer, offset)
            if length < _ATTRIBUTE.size:
                break
            if number == _NLMSGERR_ATTR_MSG:
                return (
                    bytes(self._buffer[offset + _ATTRIBUTE.size : offset + length])
                    .rstrip(b"\0")
                    .decode(errors="replace")
                )
            offset += (length + 3) & ~3
        return ""

    def _try_option(self, level: int, option: int, value: int) -> bool:
        try:
            self._socket.setsockopt(level, option, value)
        except OSError:
            return False
        return True


class IndexOf:
    """Indexes of interfaces by name, asked of the kernel when first needed and then kept; for one write."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        """Return the index.

        :raises OSError: ENODEV, there is no interface of this name.
        """
        index = self._known.get(name)
        if index is None:
            try:
                index = socket.if_nametoindex(name)
            except OSError as error:
                raise OSError(errno.ENODEV, f"there is no interface {name}") from error
            self._known[name] = index
        return index
