# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decodes and encodes rtnetlink messages, by pyroute2's tables of fields and attributes.

pyroute2's own codec takes about 100 microseconds per message. Most messages of a dump have the same attributes of the same
lengths in the same order, so here each such layout is compiled into one ``struct.Struct`` that unpacks a whole message; that
takes 1-2 microseconds. A message must match the layout exactly; a message that matches none gets a layout of its own.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from ...state.extra_attributes import Value
from .wire import ATTRIBUTE_HEADER_SIZE, NLA_TYPE_MASK, Buffer, MessageError, attribute, attributes

#: Header fields and attributes by name; an attribute without a name in pyroute2 has its number instead (``RTA_30``).
Fields = dict[str, Value]

LAYOUTS_KEPT = 64  # per length of message; further ones are used once

_ATTRIBUTE_HEADER = struct.Struct("=I")  # length and type as one number
_INTEGERS = {"B", "H", "I", "Q", "b", "h", "i", "q"}


class MessageFormat:
    """The format of one kind of message, or of the inside of a nested attribute.

    Integers in host byte order are decoded. All else (addresses, names, nested attributes, integers in network byte order)
    stays bytes: see :func:`address_text`, :func:`name_text` and :meth:`decode` of the nested format.

    :param message_class: a class of pyroute2, for its ``fields``, ``nla_map`` and ``prefix``.
    :param added: attributes that some versions of pyroute2 lack: number -> (name, pyroute2's name of the type).
    :param prefix: of the attributes' names, if pyroute2's class has none.
    """

    def __init__(
        self, message_class: Any, added: Mapping[int, tuple[str, str]] | None = None, prefix: str = ""
    ) -> None:
        self.prefix: str = prefix or message_class.prefix
        self._fields: list[list[str]] = [list(field) for field in message_class.fields]
        named = [(name, code) for name, code in message_class.fields if not code.endswith("x")]
        self._header = struct.Struct("=" + "".join(code for _name, code in message_class.fields))
        self.header_names: tuple[str, ...] = tuple(name for name, _code in named)
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._codes: dict[int, str] = {}
        for number, (name, kind) in {**_attributes_of(message_class), **(added or {})}.items():
            self._names[number] = name
            self._numbers[name] = number
            code = _integer_code(message_class, kind)
            if code:
                self._codes[number] = code
        self._packers = {self._names[number]: struct.Struct(f"=HH{code}") for number, code in self._codes.items()}
        self._layouts: dict[int, list[_Layout]] = {}

    @property
    def table(self) -> dict[str, Any]:
        """The format as plain data, from which :func:`format_of` makes it again."""
        attributes = [[number, name, self._codes.get(number, "")] for number, name in sorted(self._names.items())]
        return {"prefix": self.prefix, "fields": self._fields, "attributes": attributes}

    def decode(self, data: Buffer, start: int = 0, end: int | None = None) -> Fields:
        """Return the fields of the message in ``data[start:end]``; of a repeated attribute, the last one.

        :raises MessageError: the message is damaged.
        """
        stop = len(data) if end is None else end
        length = stop - start
        known = self._layouts.setdefault(length, [])
        for layout in known:
            fields = layout.decode(data, start)
            if fields is not None:
                return fields
        layout = _Layout(self, data, start, stop)
        if len(known) < LAYOUTS_KEPT:
            known.append(layout)
        return layout.decode(data, start) or {}  # never {}: the layout is the one of this message

    def walk(self, data: Buffer, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
        """Yield the attributes after the header as :func:`attributes` does.

        :raises MessageError: the message is shorter than its header, or the length of an attribute does not fit.
        """
        stop = len(data) if end is None else end
        first = start + self._header.size
        try:
            if first > stop:
                raise MessageError(f"{stop - start} bytes are shorter than the header of {self._header.size}")
            yield from attributes(data, first, stop)
        except MessageError as error:
            raise MessageError(f"{error} ({self.prefix})") from error

    def encode(self, fields: Mapping[str, Value]) -> bytes:
        """Return a message with these fields; other header fields are 0, and attributes keep their order.

        :raises MessageError: the format has no such field, or the value does not fit.
        """
        rest = dict(fields)
        header = [rest.pop(name, 0) for name in self.header_names]
        try:
            parts = [self._header.pack(*header)]
        except struct.error as error:
            raise MessageError(
                f"a header field of {dict(zip(self.header_names, header))} is out of range: {error}"
            ) from error
        parts += [self._encode_attribute(name, value) for name, value in rest.items()]
        return b"".join(parts)

    def _encode_attribute(self, name: str, value: Value) -> bytes:
        packer = self._packers.get(name)
        if packer is not None and isinstance(value, int):
            try:
                return packer.pack(packer.size, self._numbers[name], value) + bytes(-packer.size % 4)
            except struct.error as error:
                raise MessageError(f"{name} cannot be {value}: {error}") from error
        kind = self.number_of(name)
        if isinstance(value, int):
            raise MessageError(f"{name} takes bytes, not the number {value}")
        return attribute(kind, value)

    def name_of(self, kind: int) -> str:
        """Return an attribute's name, given its type with or without flags."""
        number = kind & NLA_TYPE_MASK
        return self._names.get(number) or f"{self.prefix}{number}"

    def number_of(self, name: str) -> int:
        """Return an attribute's number, given its name.

        :raises MessageError: the format has no attribute of this name.
        """
        number = self._numbers.get(name)
        if number is not None:
            return number
        rest = name[len(self.prefix) :]
        if name.startswith(self.prefix) and rest.isdigit():
            return int(rest)
        raise MessageError(f"{self.prefix} has no field {name}, but {', '.join((*self.header_names, *self._numbers))}")

    def code_of(self, number: int, length: int) -> str:
        """Return the ``struct`` code for an attribute's payload of this length."""
        code = self._codes.get(number)
        return code if code and struct.calcsize("=" + code) == length else f"{length}s"

    @property
    def header_code(self) -> str:
        """The ``struct`` code of the header."""
        return self._header.format


class _Layout:
    """The attributes of a message, with their order and lengths."""

    def __init__(self, message_format: MessageFormat, data: Buffer, start: int, stop: int) -> None:
        names = list(message_format.header_names)
        code = message_format.header_code
        heads = []
        for number, first, last in message_format.walk(data, start, stop):
            length = last - first
            names.append(message_format.name_of(number))
            heads.append(_ATTRIBUTE_HEADER.unpack_from(data, first - ATTRIBUTE_HEADER_SIZE)[0])
            padding = min(-length % 4, stop - last)
            code += f"I{message_format.code_of(number, length)}{padding}x"
        self._struct = struct.Struct(code)
        self._names = tuple(names)
        self._first = len(message_format.header_names)
        self._heads = tuple(heads)

    def decode(self, data: Buffer, start: int) -> Fields | None:
        """Return the fields, None if the message has another layout."""
        values = self._struct.unpack_from(data, start)
        first = self._first
        if values[first::2] != self._heads:
            return None
        return dict(zip(self._names, values[:first] + values[first + 1 :: 2]))


def _attributes_of(message_class: Any) -> dict[int, tuple[str, str]]:
    """Return pyroute2's table of attributes: number -> (name, type). An entry without a number is numbered by its position."""
    attributes = {}
    for position, entry in enumerate(message_class.nla_map):
        numbered, name, kind = tuple(entry) if len(entry) == 3 else (position, *entry)
        attributes[int(numbered)] = (str(name), kind if isinstance(kind, str) else "")
    return attributes


def _integer_code(message_class: Any, kind: str) -> str:
    """Return the ``struct`` code of a type of pyroute2, ``""`` if it is not an integer in host byte order."""
    described = getattr(message_class, kind, None) if kind else None
    fields: Any = getattr(described, "fields", ())
    if len(fields) != 1 or fields[0][0] != "value" or getattr(described, "nla_map", None):
        return ""
    code = fields[0][1]
    return code if code in _INTEGERS else ""


def format_of(table: Mapping[str, Any]) -> MessageFormat:
    """Return the format that :attr:`MessageFormat.table` describes.

    :raises ValueError: the table is damaged.
    """
    try:
        described = {code: SimpleNamespace(fields=(("value", code),)) for code in _INTEGERS}
        return MessageFormat(
            SimpleNamespace(
                prefix=str(table["prefix"]),
                fields=[(str(name), str(code)) for name, code in table["fields"]],
                nla_map=[(int(number), str(name), str(code)) for number, name, code in table["attributes"]],
                **described,
            )
        )
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError(f"the table of a netlink format is damaged: {error}") from error


@lru_cache(maxsize=8192)
def address_text(packed: bytes) -> str:
    """Return an IPv4 (4 bytes) or IPv6 (16 bytes) address as text."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


@lru_cache(maxsize=8192)
def address_bytes(text: str) -> bytes:
    """Return an address without prefix length, packed."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def number(fields: Fields, name: str) -> int:
    """Return an integer field, 0 if the message does not have it.

    :raises MessageError: the payload has not the length of the integer.
    """
    value = fields.get(name, 0)
    if isinstance(value, bytes):
        raise MessageError(f"{name} should be a number, but has {len(value)} bytes: {value.hex()}")
    return value


def packed(fields: Fields, name: str) -> bytes:
    """Return a field that is not an integer, no bytes if the message does not have it.

    :raises MessageError: it is an integer.
    """
    value = fields.get(name, b"")
    if isinstance(value, int):
        raise MessageError(f"{name} should not be a number, but is {value}")
    return value


def name_text(value: bytes) -> str:
    """Return a name (of an interface, a kind ...) without its final zero byte, as text."""
    return os.fsdecode(value.rstrip(b"\0"))


def name_bytes(text: str) -> bytes:
    """Return a name with its final zero byte."""
    return os.fsencode(text) + b"\0"
