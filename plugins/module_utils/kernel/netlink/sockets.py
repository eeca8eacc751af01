# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink sockets: dumps, batches of requests with an answer to each, and listening to events."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from ...errors import NodeError
from .wire import (
    HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    MessageError,
    Refusal,
    Request,
    Skip,
    messages,
    pack_requests,
    refusal_in,
)

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12  # include/uapi/linux/netlink.h
# include/linux/socket.h, include/uapi/linux/netlink.h, include/uapi/asm-generic/socket.h; Python names none of them
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 1, 10, 11, 12
_SO_RCVBUFFORCE = 33

RECEIVE_BUFFER = 4 << 20  # bytes requested; the answers to one batch must fit, or the kernel drops them
ANSWER_COST = 2304  # bytes of the receive buffer that one answer is charged with at most, its sk_buff included
MESSAGES_PER_SEND = 200
BYTES_PER_SEND = 64 << 10
DUMP_BUFFER = 256 << 10  # bytes; the kernel fills at most 32 KiB at once unless one object alone needs more
DUMP_TRIES = 20
TRIES_FOR_CONSISTENCY = 3  # where it is only desirable
ANSWER_TIMEOUT = 60  # seconds; a change may have to wait for a kernel module to load

Item = TypeVar("Item")
Opened = TypeVar("Opened", bound="NetlinkSocket")
#: Decodes an object in a buffer, given the offsets at which it starts and stops.
Decode = Callable[[bytearray, int, int], Item]
#: Whether a dump is to include an object, given as for :data:`Decode`.
Accept = Callable[[bytearray, int, int], bool]


class NetlinkSocket:
    """A socket of one netlink protocol in the current network namespace; a context manager.

    :raises OSError: EPROTONOSUPPORT, the kernel does not have the protocol.
    """

    def __init__(self, protocol: int) -> None:
        self._socket = _open(protocol)
        self._sequence = 0
        self._buffer = bytearray(DUMP_BUFFER)
        #: Whether the kernel considers what a dump is asked for, instead of returning everything of the family.
        self.filters_dumps = False
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            with suppress(OSError):  # missing before Linux 4.3, 4.12 and 4.20, and not required
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
                self.filters_dumps = option == _NETLINK_GET_STRICT_CHK
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", ANSWER_TIMEOUT, 0))
        self.resize_receive_buffer(RECEIVE_BUFFER)

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def resize_receive_buffer(self, size: int) -> None:
        """Ask for a receive buffer of this many bytes; without CAP_NET_ADMIN the kernel grants at most ``rmem_max``."""
        _resize_receive_buffer(self._socket, size)
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self._messages_per_send = max(1, min(MESSAGES_PER_SEND, granted // ANSWER_COST))

    @property
    def messages_per_send(self) -> int:
        """How many requests one batch may have so that no answer can be lost."""
        return self._messages_per_send

    def dump(
        self,
        message_type: int,
        body: bytes,
        decode: Decode[Item],
        what: str,
        accept: Accept | None = None,
        *,
        skip: Skip | None = None,
        consistent: bool = True,
    ) -> list[Item]:
        """Return all objects of one kind, in the kernel's order.

        :param body: of the request; its first byte is the address family, 0 for all.
        :param what: the objects, for the error: ``ipv4 routes``.
        :param accept: if given, only objects that it accepts are decoded; the others cost next to nothing.
        :param skip: if given, finds runs of messages that ``accept`` would not include; see :func:`messages`.
        :param consistent: the objects must not have changed while they were listed; else a few attempts are enough.
        :raises NodeError: the kernel refuses, or the objects change so often that no dump is consistent.
        """
        try:
            for attempt in range(DUMP_TRIES):
                objects, complete = self._dump_once(message_type, body, decode, what, accept, skip)
                if complete or (not consistent and attempt >= TRIES_FOR_CONSISTENCY):
                    return objects
        except MessageError as error:
            raise NodeError(f"The kernel's {what} cannot be decoded: {error}.") from error
        raise NodeError(
            f"The kernel's {what} changed during each of {DUMP_TRIES} reads. Try again when the node is less busy."
        )

    def _dump_once(
        self,
        message_type: int,
        body: bytes,
        decode: Decode[Item],
        what: str,
        accept: Accept | None,
        skip: Skip | None,
    ) -> tuple[list[Item], bool]:
        """Return the objects, and whether they are complete and consistent."""
        sequence = self._send([Request(message_type, NLM_F_DUMP, body)], 0)
        objects: list[Item] = []
        consistent = True
        family = body[0]
        while True:
            size = self._receive(what)
            consistent = consistent and bool(size)
            for message in messages(self._buffer, size, skip):
                kind, flags, number, _port, start, stop = message
                if number != sequence:
                    continue  # an answer to an earlier request that timed out
                if flags & NLM_F_DUMP_INTR:
                    consistent = False
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    refusal = refusal_in(self._buffer, message)
                    if refusal is not None and refusal.errno != errno.EINTR:
                        raise NodeError(f"The kernel does not list its {what}: {refusal}.")
                    return objects, consistent and refusal is None
                # If asked for the routes of a family that it does not have, the kernel lists those of all families.
                if family and self._buffer[start] != family:
                    continue
                if accept is None or accept(self._buffer, start, stop):
                    objects.append(decode(self._buffer, start, stop))

    def ask(self, requests: Sequence[Request], decode: Decode[Item]) -> list[Item | Refusal]:
        """Send questions that the kernel answers with one object each, and return the objects or refusals in order.

        :raises NodeError: an answer is missing or damaged.
        """
        answers: list[Item | Refusal] = []
        for part in self._parts(requests):
            try:
                answers += self._ask_once(part, decode)
            except MessageError as error:
                raise NodeError(f"The kernel's answers cannot be decoded: {error}.") from error
        return answers

    def _ask_once(self, requests: Sequence[Request], decode: Decode[Item]) -> list[Item | Refusal]:
        first = self._send(requests, 0)
        answers: dict[int, Item | Refusal] = {}
        while len(answers) < len(requests):
            for message in messages(self._buffer, self._receive("answers")):
                kind, _flags, number, _port, start, stop = message
                if not first <= number < first + len(requests):
                    continue  # an answer to an earlier request that timed out
                refusal = refusal_in(self._buffer, message) if kind == NLMSG_ERROR else None
                answers[number - first] = decode(self._buffer, start, stop) if refusal is None else refusal
        return [answers[position] for position in range(len(requests))]

    def batch(self, requests: Sequence[Request]) -> list[Refusal | None]:
        """Send all requests in order, and return the kernel's answer to each: None for success.

        The kernel continues after a request that it refuses.

        :raises NodeError: an answer is missing or damaged; then it is not known which requests took effect.
        """
        answers: list[Refusal | None] = []
        for part in self._parts(requests):
            try:
                answers += self._batch_once(part)
            except MessageError as error:
                raise NodeError(f"The kernel's answers cannot be decoded: {error}.") from error
        return answers

    def _parts(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        part: list[Request] = []
        size = 0
        for request in requests:
            size += HEADER_SIZE + len(request.body)
            if part and (len(part) >= self._messages_per_send or size > BYTES_PER_SEND):
                yield part
                part, size = [], HEADER_SIZE + len(request.body)
            part.append(request)
        if part:
            yield part

    def _batch_once(self, requests: Sequence[Request]) -> list[Refusal | None]:
        first = self._send(requests, NLM_F_ACK)
        answers: dict[int, Refusal | None] = {}
        while len(answers) < len(requests):
            for message in messages(self._buffer, self._receive("answers")):
                kind, number = message[0], message[2]
                if kind == NLMSG_ERROR and first <= number < first + len(requests):
                    answers[number - first] = refusal_in(self._buffer, message)
        return [answers[position] for position in range(len(requests))]

    def _send(self, requests: Sequence[Request], flags: int) -> int:
        """Send the requests as one batch, and return the sequence number of the first."""
        first = self._sequence + 1
        self._sequence += len(requests)
        self._socket.send(pack_requests(requests, first, flags))
        return first

    def _receive(self, what: str) -> int:
        """Receive one datagram and return its size, 0 if it did not fit; then the buffer grows for the next one."""
        try:
            size, _ancillary, flags, _sender = self._socket.recvmsg_into([self._buffer])
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise NodeError(f"The kernel sent no {what} over netlink within {ANSWER_TIMEOUT} s.") from error
            if error.errno == errno.ENOBUFS:
                raise NodeError(f"The kernel dropped {what} because the netlink receive buffer was full.") from error
            raise
        if flags & socket.MSG_TRUNC:
            self._buffer = bytearray(4 * len(self._buffer))
            return 0
        return size


def listen(protocol: int, groups: Collection[int], receive_buffer: int) -> socket.socket:
    """Return a socket that receives the events of multicast groups, which are numbered from 1.

    :param receive_buffer: bytes of events that the kernel may queue.
    :raises OSError: EPROTONOSUPPORT, the kernel does not have the protocol.
    """
    listening = _open(protocol)
    _resize_receive_buffer(listening, receive_buffer)
    for group in groups:
        listening.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
    return listening


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.bind((0, 0))
    return opened


def _resize_receive_buffer(opened: socket.socket, size: int) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)  # beyond rmem_max; needs CAP_NET_ADMIN
    except OSError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
