# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uses of marks in rules of nf_tables: its own expressions, and the matches and targets that iptables-nft adds.

A node with many services has tens of thousands of rules, so a rule is decoded only if its bytes contain what every use of a
mark contains.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...state.mark_use import WHOLE_MARK, MarkUse, uses_in_words
from .wire import Buffer, attributes, find, text_in

# include/uapi/linux/netfilter/nf_tables.h
NFTA_RULE_TABLE, NFTA_RULE_CHAIN = 1, 2
_NFTA_RULE_EXPRESSIONS = 4
_NFTA_EXPR_NAME, _NFTA_EXPR_DATA = 1, 2
_NFTA_DATA_VALUE = 1
# Of the expressions meta, ct and socket: destination register, key, source register.
_DREG, _KEY, _SREG = {"meta": 1, "ct": 1, "socket": 2}, {"meta": 2, "ct": 2, "socket": 1}, {"meta": 3, "ct": 4}
_MARK_KEY = {"meta": 3, "ct": 3, "socket": 1}  # NFT_META_MARK, NFT_CT_MARK, NFT_SOCKET_MARK
_MARK_NAMES = {"meta": "meta mark", "ct": "ct mark", "socket": "socket mark"}
_BITWISE_SREG, _BITWISE_DREG, _BITWISE_MASK, _BITWISE_XOR, _BITWISE_OP = 1, 2, 4, 5, 6
_CMP_SREG, _CMP_OP, _CMP_DATA = 1, 2, 3
_IMMEDIATE_DREG, _IMMEDIATE_DATA = 1, 2
_LOOKUP_SET = 1
_RANGE_SREG = 1
_COMPAT_NAME, _COMPAT_REVISION, _COMPAT_INFO = 1, 2, 3  # of matches and targets
# The attribute for the destination register of expressions whose result is no mark.
_DESTINATIONS = {
    **dict.fromkeys(("payload", "exthdr", "fib", "rt", "numgen", "osf", "xfrm"), 1),
    **dict.fromkeys(("hash", "tunnel"), 2),
    "lookup": 3,
}
_SET_MAP_MARK = 1 << 8  # IPSET_FLAG_MAP_SKBMARK
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")  # enum nft_cmp_ops
_ORDERS = 2  # the first of them that is not about one value

_META_MARK = struct.pack("=HH", 8, _KEY["meta"]) + _MARK_KEY["meta"].to_bytes(4, "big")
_MENTIONS_MARKS = re.compile(
    rb"(?:meta\0.{7}(?:.{8})?" + re.escape(_META_MARK) + rb"|(?:[\0\1]ct|socket|TPROXY|SET|[mM][aA][rR][kK])\0)",
    re.DOTALL,
)


def may_use_marks(buffer: bytearray, start: int, stop: int) -> bool:
    """Whether a rule may use a mark; cheap, and never wrongly False."""
    return _MENTIONS_MARKS.search(buffer, start, stop) is not None


class _Mark(NamedTuple):
    """A mark in a register.

    :param name: which one: of the packet, the connection or the socket.
    :param text: what was done to it, in the words of nft.
    :param kept: the bits that are still those of the mark.
    :param ones: the bits that were inverted or set.
    """

    name: str
    text: str
    kept: int = WHOLE_MARK
    ones: int = 0


@dataclass
class _Rule:
    """What is known while the expressions of a rule are read in order.

    :param marks: by register, the mark in it.
    :param values: by register, the number in it.
    :param compared: registers whose mark was compared or written.
    """

    where: str
    marks: dict[int, _Mark] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    compared: set[int] = field(default_factory=set)
    uses: list[MarkUse] = field(default_factory=list)

    def read(self, register: int, text: str, value: int | None = None, *, negated: bool = False) -> None:
        """Note a comparison of a register; it is none of a mark if the register holds something else."""
        if register in self.marks:
            mark = self.marks[register]
            self.compared.add(register)
            self.uses.append(MarkUse(self.where, f"{mark.text} {text}", False, mark.kept, value, negated))

    def write(self, name: str, register: int) -> None:
        """Note that a mark gets the content of a register."""
        self.compared.add(register)
        mark, value = self.marks.get(register), self.values.get(register)
        if mark is not None and mark.name == name:
            changed, text = WHOLE_MARK & ~mark.kept | mark.ones, mark.text
            self.uses.append(MarkUse(self.where, f"{name} set {text}", True, changed, mark.ones))
        else:
            text = mark.text if mark is not None else "..." if value is None else f"{value:#x}"
            self.uses.append(MarkUse(self.where, f"{name} set {text}", True, WHOLE_MARK, value))

    def overwrite(self, register: int) -> None:
        """Note that a register gets something that is no mark."""
        self.marks.pop(register, None)
        self.values.pop(register, None)


def rule_uses(where: str, buffer: bytearray, start: int, stop: int) -> tuple[MarkUse, ...]:
    """Return the uses of marks in the rule whose attributes are in this part of the buffer, in order.

    :raises MessageError: the message is damaged.
    """
    rule = _Rule(where)
    for name, data in rule_expressions(buffer, start, stop):
        _note(rule, name, data)
    for register in rule.marks.keys() - rule.compared:
        rule.read(register, "is used")
    return tuple(rule.uses)


def rule_expressions(buffer: Buffer, start: int, stop: int) -> Iterator[tuple[str, ExpressionAttributes]]:
    """Yield name and attributes of each expression of the rule whose attributes are in this part of the buffer.

    :raises MessageError: the message is damaged.
    """
    for kind, first, last in attributes(buffer, start, stop):
        if kind == _NFTA_RULE_EXPRESSIONS:
            for _element, inner, end in attributes(buffer, first, last):
                name = text_in(find(buffer, inner, end, _NFTA_EXPR_NAME))
                yield name, ExpressionAttributes(find(buffer, inner, end, _NFTA_EXPR_DATA))


class ExpressionAttributes:
    """The attributes of one expression."""

    def __init__(self, payload: bytes) -> None:
        self._by_kind = {kind: payload[first:last] for kind, first, last in attributes(payload, 0, len(payload))}

    def number(self, kind: int) -> int:
        """Return an integer in network byte order, 0 if there is none."""
        return int.from_bytes(self._by_kind.get(kind, b""), "big")

    def bytes(self, kind: int) -> bytes:
        """Return a payload, no bytes if there is none."""
        return self._by_kind.get(kind, b"")

    def value(self, kind: int) -> int:
        """Return nested data of a register as the number that a mark is: in host byte order."""
        data = self.bytes(kind)
        return int.from_bytes(find(data, 0, len(data), _NFTA_DATA_VALUE)[:4], sys.byteorder)

    def __contains__(self, kind: int) -> bool:
        return kind in self._by_kind


def _note(rule: _Rule, name: str, data: ExpressionAttributes) -> None:
    if name in _MARK_KEY:
        _note_mark(rule, name, data)
    elif name == "bitwise":
        _note_bitwise(rule, data)
    elif name in ("match", "target"):
        words = tuple(_compat_words(name, text_in(data.bytes(_COMPAT_NAME)), data))
        rule.uses += uses_in_words(words, rule.where)
    else:
        _note_register(rule, name, data)
    if name in _DESTINATIONS and _DESTINATIONS[name] in data:
        rule.overwrite(data.number(_DESTINATIONS[name]))


def _note_register(rule: _Rule, name: str, data: ExpressionAttributes) -> None:
    """Note what the other expressions do with a register."""
    if name == "immediate":
        rule.overwrite(data.number(_IMMEDIATE_DREG))
        rule.values[data.number(_IMMEDIATE_DREG)] = data.value(_IMMEDIATE_DATA)
    elif name == "cmp":
        value, operation = data.value(_CMP_DATA), data.number(_CMP_OP)
        text = f"{_COMPARISONS[operation % len(_COMPARISONS)]} {value:#x}"
        rule.read(data.number(_CMP_SREG), text, value if operation < _ORDERS else None, negated=operation == 1)
    elif name == "range":
        rule.read(data.number(_RANGE_SREG), "is in a range")
    elif name in ("lookup", "hash"):
        what = "is hashed" if name == "hash" else f"in @{text_in(data.bytes(_LOOKUP_SET))}"
        for register in rule.marks.keys() - rule.compared:  # a mark may be any part of a concatenation
            rule.read(register, what)


def _note_mark(rule: _Rule, name: str, data: ExpressionAttributes) -> None:
    """Note what the expressions meta, ct and socket do."""
    is_mark, source, register = data.number(_KEY[name]) == _MARK_KEY[name], _SREG.get(name, 0), data.number(_DREG[name])
    if source in data:
        if is_mark:
            rule.write(_MARK_NAMES[name], data.number(source))
        return
    rule.overwrite(register)
    if is_mark:
        rule.marks[register] = _Mark(_MARK_NAMES[name], _MARK_NAMES[name])
        rule.compared.discard(register)


def _note_bitwise(rule: _Rule, data: ExpressionAttributes) -> None:
    """Note a bitwise operation: the result is ``(source & mask) ^ xor``, or it is no mark any more."""
    source, destination = data.number(_BITWISE_SREG), data.number(_BITWISE_DREG)
    mark = rule.marks.get(source)
    rule.overwrite(destination)
    if mark is None:
        return
    if source != destination:
        rule.compared.add(source)
    if data.number(_BITWISE_OP) or _BITWISE_MASK not in data:
        rule.marks[destination] = mark._replace(name="", text=f"{mark.text} (shifted or combined)")
        return
    mask, xor = data.value(_BITWISE_MASK), data.value(_BITWISE_XOR)
    words = [f"& {mask:#x}"] if mask | xor != WHOLE_MARK else []
    words += [f"{'^' if mask & xor else '|'} {xor:#x}"] if xor else []
    text = " ".join((mark.text, *words))
    rule.marks[destination] = mark._replace(text=text, kept=mark.kept & mask, ones=mark.ones & mask ^ xor)


def _compat_words(kind: str, name: str, data: ExpressionAttributes) -> Iterator[str]:
    """Yield the words of a match or target of iptables; structs of include/uapi/linux/netfilter/xt_*.h."""
    info, revision = data.bytes(_COMPAT_INFO), data.number(_COMPAT_REVISION)
    if kind == "match" and name in ("mark", "connmark") and len(info) >= 9:
        value, mask, invert = struct.unpack_from("=IIB", info)
        yield from ("-m", name, *(["!"] if invert else []), "--mark", f"{value:#x}/{mask:#x}")
    elif name == "MARK" and len(info) >= 8:
        value, mask = struct.unpack_from("=II", info)
        yield from ("-j", name, "--set-xmark", f"{value:#x}/{mask:#x}")
    elif name == "CONNMARK" and len(info) >= 16:
        value, ctmask, nfmask = struct.unpack_from("=III", info)
        mode = info[14 if revision >= 2 else 12]  # revision 2 can shift, too
        if mode == 0:
            yield from ("-j", name, "--set-xmark", f"{value:#x}/{ctmask:#x}")
        else:
            option = "--save-mark" if mode == 1 else "--restore-mark"
            yield from ("-j", name, option, "--nfmask", f"{nfmask:#x}", "--ctmask", f"{ctmask:#x}")
    elif name == "TPROXY" and len(info) >= 8:
        mask, value = struct.unpack_from("=II", info)
        yield from ("-j", name, "--tproxy-mark", f"{value:#x}/{mask:#x}")
    elif name == "SET" and len(info) >= 16 and struct.unpack_from("=I", info, 12)[0] & _SET_MAP_MARK:
        yield from ("-j", name, "--map-mark")
    elif kind == "match" and name == "socket" and revision >= 3 and info and info[0] & 4:
        yield from ("-m", name, "--restore-skmark")
