# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink messages as bytes: message headers, attributes, requests and the kernel's answers to them.

All functions work on a buffer and offsets into it and create no object per attribute, because a busy node sends thousands of
messages a second. Payloads are bytes: ``int.from_bytes(payload, "big")`` and ``number.to_bytes(4, "big")`` are the integers
in network byte order that netfilter uses. The formats are those of include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Union

from ...errors import NodeError

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800  # in requests that create
NLM_F_DUMP_INTR = 0x10  # the objects changed during the dump
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200  # in answers
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLMSGERR_ATTR_MSG = 1
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF  # without the flags "nested" and "network byte order"

HEADER_SIZE = 16  # of struct nlmsghdr: length, type, flags, sequence number, port
ATTRIBUTE_HEADER_SIZE = 4  # of struct nlattr: length, type
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")  # struct nlmsgerr, before the request
_LENGTH = struct.Struct("=I")

#: Python calls the number 95 ENOTSUP; the kernel and its documentation say EOPNOTSUPP.
_ERRNO_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EAGAIN: "EAGAIN"}

Buffer = Union[bytes, bytearray]
#: Type, flags, sequence number, port of the sender, and the offsets at which the payload starts and stops.
Message = tuple[int, int, int, int, int, int]
#: Returns the offset after messages that need not be looked at, given the buffer, an offset and the size of the datagram.
Skip = Callable[[bytearray, int, int], int]


class MessageError(NodeError, ValueError):
    """Raised for a damaged message, and for a value that no message can hold."""


@dataclass(frozen=True)
class Request:
    """One request.

    :param flags: besides ``NLM_F_REQUEST`` and ``NLM_F_ACK``.
    :param body: the fixed header of the protocol (``struct rtmsg`` ...) with the attributes.
    """

    type: int
    flags: int
    body: bytes


@dataclass(frozen=True)
class Refusal:
    """The kernel's refusal of a request.

    :param errno: positive.
    :param message: the text of the extended acknowledgement, ``""`` if the kernel sent none.
    """

    errno: int
    message: str = ""

    def __str__(self) -> str:
        name = _ERRNO_NAMES.get(self.errno, f"errno {self.errno}")
        return f"{name}: {self.message or os.strerror(self.errno)}"


def pack_requests(requests: Sequence[Request], sequence: int, flags: int = 0) -> bytes:
    """Return the requests as one batch, numbered from ``sequence`` on.

    :param flags: of every request, besides its own and ``NLM_F_REQUEST``.
    """
    flags |= NLM_F_REQUEST
    parts = []
    for number, request in enumerate(requests, start=sequence):
        body = request.body
        parts += [_HEADER.pack(HEADER_SIZE + len(body), request.type, request.flags | flags, number, 0), body]
        parts += [bytes(-len(body) % 4)] if len(body) % 4 else []
    return b"".join(parts)


def messages(buffer: bytearray, size: int, skip: Skip | None = None) -> Iterator[Message]:
    """Yield each message in the first ``size`` bytes of the buffer.

    :param skip: given the offset of a message, returns that of the next one to yield; the same one if it is that.
    :raises MessageError: a length does not fit.
    """
    offset = 0
    last = size - HEADER_SIZE
    unpack = _HEADER.unpack_from
    while offset <= last:
        if skip is not None:
            offset = skip(buffer, offset, size)
            if offset > last:
                break
        length, kind, flags, sequence, port = unpack(buffer, offset)
        if length < HEADER_SIZE or offset + length > size:
            raise MessageError(f"a message claims a length of {length} bytes where {size - offset} bytes are left")
        yield kind, flags, sequence, port, offset + HEADER_SIZE, offset + length
        offset += (length + 3) & ~3
    if offset < size:
        raise MessageError(f"{size - offset} bytes are left over after the last message")


def attributes(buffer: Buffer, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield type (without flags) and the offsets at which the payload starts and stops, for each attribute.

    The payload of a nested attribute is walked by calling this again with its offsets.

    :raises MessageError: a length does not fit.
    """
    last = stop - ATTRIBUTE_HEADER_SIZE
    unpack = _ATTRIBUTE.unpack_from
    while start <= last:
        length, kind = unpack(buffer, start)
        if length < ATTRIBUTE_HEADER_SIZE or start + length > stop:
            raise _wrong_length(kind, length, stop - start)
        yield kind & NLA_TYPE_MASK, start + ATTRIBUTE_HEADER_SIZE, start + length
        start += (length + 3) & ~3
    if start < stop:
        raise _left_over(stop - start)


def find(buffer: Buffer, start: int, stop: int, attribute_type: int) -> bytes:
    """Return the payload of the first attribute of a type, no bytes if there is none.

    Does what :func:`attributes` would do in half the time.

    :raises MessageError: a length up to this attribute does not fit.
    """
    last = stop - ATTRIBUTE_HEADER_SIZE
    unpack = _ATTRIBUTE.unpack_from
    while start <= last:
        length, kind = unpack(buffer, start)
        if length < ATTRIBUTE_HEADER_SIZE or start + length > stop:
            raise _wrong_length(kind, length, stop - start)
        if kind & NLA_TYPE_MASK == attribute_type:
            return bytes(buffer[start + ATTRIBUTE_HEADER_SIZE : start + length])
        start += (length + 3) & ~3
    if start < stop:
        raise _left_over(stop - start)
    return b""


def text_in(payload: Buffer) -> str:
    """Return the payload of an attribute as text, without its final zero byte."""
    return payload.rstrip(b"\0").decode(errors="replace")


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded.

    :raises MessageError: the payload is too long.
    """
    length = ATTRIBUTE_HEADER_SIZE + len(payload)
    if length > 0xFFFF:
        raise MessageError(f"attribute {kind & NLA_TYPE_MASK} cannot hold {len(payload)} bytes")
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    """Return one attribute that holds other attributes.

    :raises MessageError: they are too long.
    """
    return attribute(kind | NLA_F_NESTED, b"".join(inner))


def refusal_in(buffer: Buffer, message: Message) -> Refusal | None:
    """Return what a message ``NLMSG_ERROR`` or ``NLMSG_DONE`` says, None for success.

    :raises MessageError: it holds no error number.
    """
    kind, flags, _sequence, _port, start, stop = message
    if stop - start < _ERROR.size:
        if kind == NLMSG_DONE:  # older kernels end some dumps without a number
            return None
        raise MessageError(f"an answer has {stop - start} bytes, too few for an error number")
    code = -_ERROR.unpack_from(buffer, start)[0]
    return Refusal(code, _text(buffer, kind, flags, start + _ERROR.size, stop)) if code else None


def _text(buffer: Buffer, kind: int, flags: int, start: int, stop: int) -> str:
    """Return the text of an extended acknowledgement, ``""`` if there is none."""
    if not flags & NLM_F_ACK_TLVS:
        return ""
    if kind == NLMSG_ERROR:  # the request comes first, only its header if the answer is capped
        if stop - start < HEADER_SIZE:
            return ""
        start += HEADER_SIZE if flags & NLM_F_CAPPED else (_LENGTH.unpack_from(buffer, start)[0] + 3) & ~3
    try:
        return text_in(find(buffer, start, stop, NLMSGERR_ATTR_MSG))
    except MessageError:
        return ""  # the number alone is an answer, too


def _wrong_length(kind: int, length: int, left: int) -> MessageError:
    return MessageError(
        f"attribute {kind & NLA_TYPE_MASK} claims a length of {length} bytes where {left} bytes are left"
    )


def _left_over(count: int) -> MessageError:
    return MessageError(f"{count} bytes are left over after the last attribute")
