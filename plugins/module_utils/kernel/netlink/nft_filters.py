# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of nf_tables that check the sources of packets, with all their rules."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ...state.packet_filter import (
    ACCEPT,
    DROP,
    FORWARD,
    GOTO,
    ICMP_TYPE,
    INGRESS,
    INPUT,
    JUMP,
    LINK,
    MARK,
    PREROUTING,
    PROTOCOL,
    RETURN,
    Condition,
    FilterChain,
    FilterRule,
    SourceCheck,
    Value,
)
from .nft_marks import ExpressionAttributes, rule_expressions
from .wire import attributes, find, text_in

#: What the bytes of a rule contain if it checks sources.
MENTIONS_SOURCES = (b"fib\0", b"rpfilter\0")
# include/uapi/linux/netfilter/nf_tables.h
_META_KEYS = {3: MARK, 4: "index", 6: LINK, 15: "family", 16: PROTOCOL}
_META_DREG, _META_KEY, _META_SREG = 1, 2, 3
_CMP_SREG, _CMP_OP, _CMP_DATA = 1, 2, 3
_BITWISE_SREG, _BITWISE_DREG, _BITWISE_MASK = 1, 2, 4
_PAYLOAD_DREG, _PAYLOAD_BASE, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 1, 2, 3, 4
_TRANSPORT = 2
_LOOKUP_SET, _LOOKUP_SREG, _LOOKUP_DREG, _LOOKUP_FLAGS = 1, 2, 3, 5
_FIB_DREG, _FIB_RESULT, _FIB_FLAGS = 1, 2, 3
_FIB_SADDR, _FIB_MARK, _FIB_IIF, _FIB_PRESENT = 1, 4, 8, 32
_FIB_ADDRTYPE = 3
_IMMEDIATE_DREG, _IMMEDIATE_DATA = 1, 2
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_VERDICTS = {0: DROP, 1: ACCEPT, -3: JUMP, -4: GOTO, -5: RETURN}
_COMPAT_NAME, _COMPAT_INFO = 1, 3
_NEUTRAL = ("counter", "log", "objref", "notrack", "last")
_RPFILTER_LOOSE, _RPFILTER_VALIDMARK, _RPFILTER_INVERT = 1, 2, 8  # XT_RPFILTER_*
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 3, 4, 5
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_HOOKS = {0: PREROUTING, 1: INPUT, 2: FORWARD}
_NFPROTO = {2: "ip", 10: "ip6"}

Elements = Callable[[str], frozenset[bytes]]


def chain_of(family: str, message: bytes) -> tuple[str, FilterChain]:
    """Return the table's name and a chain without rules, from the attributes of its message."""
    data = ExpressionAttributes(message)
    table, name = (text_in(data.bytes(kind)) for kind in (_CHAIN_TABLE, _CHAIN_NAME))
    hook = ExpressionAttributes(data.bytes(_CHAIN_HOOK))
    hooked = _HOOK_NUMBER in hook
    priority = int.from_bytes(hook.bytes(_HOOK_PRIORITY), "big", signed=True)
    at = (INGRESS if family == "netdev" else _HOOKS.get(hook.number(_HOOK_NUMBER), "other")) if hooked else ""
    policy = DROP if _CHAIN_POLICY in data and not data.number(_CHAIN_POLICY) else ACCEPT
    return table, FilterChain(family, table, name, (), at, priority, policy)


@dataclass
class _Reading:
    """A rule while its expressions are read.

    :param registers: what a register holds: a subject, or a check of the source.
    :param presence: registers that hold whether there is a route, not over which link.
    """

    elements: Elements
    names: Callable[[int], str]
    registers: dict[int, str | SourceCheck] = field(default_factory=dict)
    presence: set[int] = field(default_factory=set)
    masks: dict[int, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    tests: list[Condition] = field(default_factory=list)
    check: SourceCheck | None = None
    verdict: str = ""
    target: str = ""
    uncertain: bool = False

    def add(self, subject: str, values: Iterable[Value], *, negated: bool, words: str) -> None:
        self.tests.append(Condition(subject, frozenset(values), negated))
        self.words.append(words)


def filter_rule(payload: bytes, elements: Elements, names: Callable[[int], str]) -> FilterRule:
    """Return what a rule does.

    :param payload: the attributes of its message.
    :param elements: returns the elements of a set.
    :param names: returns the name of a link by its index.
    """
    rule = _Reading(elements, names)
    for name, data in rule_expressions(payload, 0, len(payload)):
        reader = _READERS.get(name)
        if reader is not None:
            reader(rule, data)
        elif name in ("match", "target"):
            _compat(rule, name, data)
        elif name not in _NEUTRAL:
            rule.uncertain = True
    verdict = f"{rule.verdict} {rule.target}".strip()
    return FilterRule(
        " ".join([*rule.words, verdict]).strip(),
        rule.verdict,
        rule.target,
        tuple(rule.tests),
        rule.check,
        rule.uncertain,
    )


def _meta(rule: _Reading, data: ExpressionAttributes) -> None:
    if _META_SREG in data:
        return  # it sets something
    rule.registers[data.number(_META_DREG)] = _META_KEYS.get(data.number(_META_KEY), "")


def _payload(rule: _Reading, data: ExpressionAttributes) -> None:
    place = tuple(data.number(kind) for kind in (_PAYLOAD_BASE, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH))
    rule.registers[data.number(_PAYLOAD_DREG)] = ICMP_TYPE if place == (_TRANSPORT, 0, 1) else ""


def _fib(rule: _Reading, data: ExpressionAttributes) -> None:
    flags = data.number(_FIB_FLAGS)
    is_check = flags & _FIB_SADDR and data.number(_FIB_RESULT) != _FIB_ADDRTYPE
    check = SourceCheck(bool(flags & _FIB_MARK), bool(flags & _FIB_IIF), missing=True)
    rule.registers[data.number(_FIB_DREG)] = check if is_check else ""
    if flags & _FIB_PRESENT:
        rule.presence.add(data.number(_FIB_DREG))


def _bitwise(rule: _Reading, data: ExpressionAttributes) -> None:
    source, target = data.number(_BITWISE_SREG), data.number(_BITWISE_DREG)
    held = rule.registers.get(source, "")
    rule.registers[target] = held if held == MARK else ""
    rule.masks[target] = data.value(_BITWISE_MASK)


def _cmp(rule: _Reading, data: ExpressionAttributes) -> None:
    register, operation = data.number(_CMP_SREG), data.number(_CMP_OP)
    held = rule.registers.get(register, "")
    nested = data.bytes(_CMP_DATA)
    value = find(nested, 0, len(nested), _DATA_VALUE)
    if operation > 1 or not held:
        rule.uncertain = True
        return
    negated = operation == 1
    if isinstance(held, SourceCheck):
        if any(value) and register not in rule.presence:
            rule.uncertain = True  # compared with a certain link
            return
        missing = any(value) == negated
        rule.check = SourceCheck(held.uses_mark, held.strict, missing)
        parts = ["saddr", *(["mark"] if held.uses_mark else []), *(["iif"] if held.strict else [])]
        rule.words.append(f"fib {' . '.join(parts)} oif {'missing' if missing else 'exists'}")
        return
    _compare(rule, held, [value], negated=negated, mask=rule.masks.get(register, 0xFFFFFFFF))


def _compare(rule: _Reading, held: str, values: Iterable[bytes], *, negated: bool, mask: int = 0xFFFFFFFF) -> None:
    """Add the test of a subject."""
    sign = "!= " if negated else ""
    listed = list(values)
    if held in (LINK, "index"):
        found = [
            _link_name(value) if held == LINK else rule.names(int.from_bytes(value, sys.byteorder)) for value in listed
        ]
        rule.add(LINK, found, negated=negated, words=f"iifname {sign}{', '.join(found)}")
    elif held == MARK:
        marks = [(int.from_bytes(value, sys.byteorder), mask) for value in listed]
        rule.add(MARK, marks, negated=negated, words=f"meta mark {sign}{', '.join(hex(mark) for mark, _mask in marks)}")
    else:
        numbers = [int.from_bytes(value[:1], "big") for value in listed]
        rule.add(held, numbers, negated=negated, words=f"{held} {sign}{', '.join(map(str, numbers))}")


def _lookup(rule: _Reading, data: ExpressionAttributes) -> None:
    held = rule.registers.get(data.number(_LOOKUP_SREG), "")
    if not held or isinstance(held, SourceCheck) or held == MARK or _LOOKUP_DREG in data:
        rule.uncertain = True
        return
    values = rule.elements(text_in(data.bytes(_LOOKUP_SET)))
    if values:
        _compare(rule, held, sorted(values), negated=bool(data.number(_LOOKUP_FLAGS) & 1))
    else:
        rule.uncertain = True


def _immediate(rule: _Reading, data: ExpressionAttributes) -> None:
    nested = data.bytes(_IMMEDIATE_DATA)
    verdict = ExpressionAttributes(find(nested, 0, len(nested), _DATA_VERDICT))
    if data.number(_IMMEDIATE_DREG) == 0 and _VERDICT_CODE in verdict:
        code = int.from_bytes(verdict.bytes(_VERDICT_CODE), "big", signed=True)
        rule.verdict, rule.target = _VERDICTS.get(code, ""), text_in(verdict.bytes(_VERDICT_CHAIN))


def _reject(rule: _Reading, _data: ExpressionAttributes) -> None:
    rule.verdict = DROP


_READERS: dict[str, Callable[[_Reading, ExpressionAttributes], None]] = {
    "meta": _meta,
    "payload": _payload,
    "fib": _fib,
    "bitwise": _bitwise,
    "cmp": _cmp,
    "lookup": _lookup,
    "immediate": _immediate,
    "reject": _reject,
}


def _compat(rule: _Reading, kind: str, data: ExpressionAttributes) -> None:
    """Note a match or target of iptables."""
    name, info = text_in(data.bytes(_COMPAT_NAME)), data.bytes(_COMPAT_INFO)
    if kind == "target":
        rule.verdict = DROP if name == "REJECT" else rule.verdict
    elif name == "rpfilter" and info:
        rule.check, words = rpfilter(info[0])
        rule.words.append(words)
    elif name == "mark" and len(info) >= 9:
        value, mask, invert = struct.unpack_from("=IIB", info)
        rule.add(MARK, [(value, mask)], negated=bool(invert), words=f"-m mark --mark {value:#x}/{mask:#x}")
    elif name == "icmp6" and len(info) >= 4:
        rule.add(ICMP_TYPE, [info[0]], negated=bool(info[3]), words=f"--icmpv6-type {info[0]}")
    elif name != "comment":
        rule.uncertain = True


def rpfilter(flags: int) -> tuple[SourceCheck, str]:
    """Return the check of ``-m rpfilter`` with these flags (``XT_RPFILTER_*``), and its words."""
    names = {_RPFILTER_LOOSE: "--loose", _RPFILTER_VALIDMARK: "--validmark", _RPFILTER_INVERT: "--invert"}
    words = ["-m rpfilter", *(word for flag, word in names.items() if flags & flag)]
    strict = not flags & _RPFILTER_LOOSE
    check = SourceCheck(bool(flags & _RPFILTER_VALIDMARK), strict, bool(flags & _RPFILTER_INVERT), bound=strict)
    return check, " ".join(words)


def _link_name(value: bytes) -> str:
    """Return a name of a link; without a final zero byte it is the beginning of names."""
    name = value.rstrip(b"\0").decode(errors="replace")
    return name if value.endswith(b"\0") else f"{name}*"


def set_elements(payload: bytes) -> Iterator[bytes]:
    """Yield the keys in a message with elements of a set."""
    listed = find(payload, 0, len(payload), 3)  # NFTA_SET_ELEM_LIST_ELEMENTS
    for _kind, first, last in attributes(listed, 0, len(listed)):
        key = find(listed, first, last, 1)  # NFTA_SET_ELEM_KEY
        yield find(key, 0, len(key), _DATA_VALUE)
