# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes rules of the routing policy database."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence

from ...state import Ownership, Rule
from ...state.extra_attributes import extra_attributes
from ...state.family import everything
from ...state.step import Step
from ..families import kernel_families
from .codec import Fields, address_bytes, address_text, name_bytes, name_text, number, packed
from .current_rules import CurrentRules
from .rtnetlink import AF_OF_FAMILY, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE, Rtnetlink
from .steps import send_steps
from .wire import NLM_F_CREATE, NLM_F_EXCL, MessageError, Request

# include/uapi/linux/fib_rules.h
_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_NUMBER_OF_ACTION = {name: number for number, name in _ACTIONS.items()}
_INVERT = 0x2  # FIB_RULE_INVERT
# FIB_RULE_PERMANENT, _UNRESOLVED, _IIF_DETACHED, _OIF_DETACHED: the rule's state, which a request cannot set
_REPORTED_FLAGS = 0x1 | 0x4 | 0x8 | 0x10
_NO_SUPPRESSION = 0xFFFFFFFF

_MODELLED = frozenset(
    {"family", "dst_len", "src_len", "tos", "table", "res1", "res2", "action", "flags"}
    | {"FRA_DST", "FRA_SRC", "FRA_IIFNAME", "FRA_OIFNAME", "FRA_GOTO", "FRA_PRIORITY", "FRA_FWMARK", "FRA_FWMASK"}
    | {"FRA_SUPPRESS_PREFIXLEN", "FRA_TABLE", "FRA_PROTOCOL", "FRA_PAD"}
)

HINTS = {
    errno.EEXIST: "this rule already exists",
    errno.ENOENT: "this rule does not exist",
}


def read_rules(netlink: Rtnetlink, ownership: Ownership) -> tuple[frozenset[Rule], frozenset[Rule]]:
    """Return the managed and the foreign rules, of every family that the kernel has.

    :raises NodeError: the kernel does not list its rules.
    """
    managed: set[Rule] = set()
    foreign: set[Rule] = set()
    for family in kernel_families():
        for protocol, rule in _list_rules(netlink, family):
            (managed if protocol == ownership.protocol else foreign).add(rule)
    return frozenset(managed), frozenset(foreign)


def _list_rules(netlink: Rtnetlink, family: str) -> Iterator[tuple[int, Rule]]:
    """Yield protocol and rule, in the kernel's order."""
    request: Fields = {"family": AF_OF_FAMILY[family]}
    for fields in netlink.dump_fields(RTM_GETRULE, netlink.formats.rule, f"{family} rules", request):
        yield number(fields, "FRA_PROTOCOL"), _rule(family, fields)


def _network(fields: Fields, attribute: str, length: str) -> str:
    value = packed(fields, attribute)
    return f"{address_text(value)}/{number(fields, length)}" if value else ""


def _rule(family: str, fields: Fields) -> Rule:
    action = _ACTIONS.get(number(fields, "action"), f"action-{number(fields, 'action')}")
    table = number(fields, "FRA_TABLE") or number(fields, "table")
    flags = number(fields, "flags")
    extra = {name: fields[name] for name in fields.keys() - _MODELLED}
    if fields["tos"]:
        extra["tos"] = fields["tos"]
    if flags & ~(_INVERT | _REPORTED_FLAGS):
        extra["flags"] = flags & ~_REPORTED_FLAGS
    if table and action != "lookup":
        extra["FRA_TABLE"] = table
    suppress = number(fields, "FRA_SUPPRESS_PREFIXLEN") if "FRA_SUPPRESS_PREFIXLEN" in fields else _NO_SUPPRESSION
    return Rule(
        family,
        number(fields, "FRA_PRIORITY"),
        action,
        table if action == "lookup" else 0,
        number(fields, "FRA_GOTO"),
        _network(fields, "FRA_SRC", "src_len"),
        _network(fields, "FRA_DST", "dst_len"),
        name_text(packed(fields, "FRA_IIFNAME")),
        name_text(packed(fields, "FRA_OIFNAME")),
        number(fields, "FRA_FWMARK"),
        number(fields, "FRA_FWMASK"),
        bool(flags & _INVERT),
        -1 if suppress == _NO_SUPPRESSION else suppress,
        extra_attributes(extra),
    )


def write_rules(netlink: Rtnetlink, steps: Sequence[Step], ownership: Ownership) -> None:
    """Add and delete rules, in order.

    :raises StepsFailed: see :func:`send_steps`.
    """
    families = {step.subject.family for step in steps if isinstance(step.subject, Rule)}
    current = CurrentRules(
        rule for family in families for protocol, rule in _list_rules(netlink, family) if protocol == ownership.protocol
    )

    def encode(step: Step) -> list[Request]:
        before, after = step.before, step.after
        if isinstance(after, Rule) and before is None:
            body = _body(netlink, after, ownership)
            exclusive = 0 if current.gives_false_eexist(after) else NLM_F_EXCL
            current.add(after)
            return [Request(RTM_NEWRULE, NLM_F_CREATE | exclusive, body)]
        if isinstance(before, Rule) and after is None:
            deletion = Request(RTM_DELRULE, 0, _body(netlink, before, ownership))
            hit = current.remove(before)
            added_again = [Request(RTM_NEWRULE, NLM_F_CREATE, _body(netlink, rule, ownership)) for rule in hit]
            return [deletion] * (len(hit) + 1) + added_again
        raise TypeError(f"not a step that adds or deletes a rule: {step!r}")

    send_steps(netlink, steps, encode, HINTS)


def _body(netlink: Rtnetlink, rule: Rule, ownership: Ownership) -> bytes:
    extra = dict(rule.extra)
    if rule.action == "lookup" and not rule.table and "FRA_L3MDEV" not in extra:
        raise MessageError(f"a rule with the action lookup needs a table: {rule}")
    fields: Fields = {
        "family": AF_OF_FAMILY[rule.family],
        "table": rule.table if rule.table < 256 else 0,
        "action": _NUMBER_OF_ACTION[rule.action],
        "flags": _INVERT if rule.invert else 0,
        "FRA_PRIORITY": rule.priority,
        "FRA_PROTOCOL": ownership.protocol,
    }
    for network, attribute, length_field in (
        (rule.source, "FRA_SRC", "src_len"),
        (rule.destination, "FRA_DST", "dst_len"),
    ):
        if network and network != everything(rule.family):
            address, _slash, length = network.partition("/")
            fields[attribute] = address_bytes(address)
            fields[length_field] = int(length)
    if rule.table:
        fields["FRA_TABLE"] = rule.table
    if rule.action == "goto":
        fields["FRA_GOTO"] = rule.goto
    for name, attribute in ((rule.iif, "FRA_IIFNAME"), (rule.oif, "FRA_OIFNAME")):
        if name:
            fields[attribute] = name_bytes(name)
    if rule.fwmark or rule.fwmask:
        fields["FRA_FWMARK"] = rule.fwmark
        fields["FRA_FWMASK"] = rule.fwmask
    if rule.suppress_prefixlength >= 0:
        fields["FRA_SUPPRESS_PREFIXLEN"] = rule.suppress_prefixlength
    fields.update(extra)
    return netlink.formats.rule.encode(fields)
