# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the kernel's routing policy database, read and written."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.codec import (
    CodecError,
    Fields,
    address_bytes,
    address_text,
    name_bytes,
    name_text,
    number,
    packed,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import (
    AF_OF_FAMILY,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELRULE,
    RTM_GETRULE,
    RTM_NEWRULE,
    Netlink,
    Request,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.steps import carry_out
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.unmodelled import (
    split_fields,
    with_fields,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.step import Step
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import FAMILIES, everything

# include/uapi/linux/fib_rules.h
_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_NUMBER_OF_ACTION = {name: number for number, name in _ACTIONS.items()}
_INVERT = 0x2  # FIB_RULE_INVERT
# Permanent, goto unresolved, iif detached, oif detached: what became of a rule, not what it asks for.
_REPORTED_FLAGS = 0x1 | 0x4 | 0x8 | 0x10
_NO_SUPPRESSION = 0xFFFFFFFF

_MODELLED = frozenset(
    {"family", "dst_len", "src_len", "tos", "table", "res1", "res2", "action", "flags"}
    | {"FRA_DST", "FRA_SRC", "FRA_IIFNAME", "FRA_OIFNAME", "FRA_GOTO", "FRA_PRIORITY", "FRA_FWMARK", "FRA_FWMASK"}
    | {"FRA_SUPPRESS_PREFIXLEN", "FRA_TABLE", "FRA_PROTOCOL", "FRA_PAD"}
)

HINTS = {
    errno.EEXIST: "the kernel takes it for one it has: the same, or the same but for its from, to, not or goto target",
    errno.ENOENT: "there is no such rule (any more)",
}


def read_rules(netlink: Netlink, ownership: Ownership) -> tuple[frozenset[Rule], frozenset[Rule]]:
    """Return our own rules and everybody else's, of both families.

    What a rule has beyond the fields of :class:`Rule` (a user, a port, a tunnel ...) is appended to its action
    (``lookup with FRA_IP_PROTO=6``), so that it differs from every rule without it.

    :raises NodeError: the kernel does not list its rules.
    """
    owned: set[Rule] = set()
    foreign: set[Rule] = set()
    for family in FAMILIES:
        for protocol, rule in _list_rules(netlink, family):
            (owned if protocol == ownership.protocol else foreign).add(rule)
    return frozenset(owned), frozenset(foreign)


def _list_rules(netlink: Netlink, family: str) -> Iterator[tuple[int, Rule]]:
    """Yield protocol and rule, in the kernel's order."""
    request: Fields = {"family": AF_OF_FAMILY[family]}
    for fields in netlink.dump(RTM_GETRULE, netlink.formats.rule, f"{family} rules", request):
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
        with_fields(action, extra),
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
    )


def write_rules(netlink: Netlink, steps: Sequence[Step], ownership: Ownership) -> None:
    """Do the steps, in order; a rule is added or deleted, never changed.

    :raises StepsFailed: see :func:`carry_out`.
    """
    deleting = any(step.verb == "delete" for step in steps)
    present = _Present(netlink, ownership) if deleting else None

    def encode(step: Step) -> list[Request]:
        before, after = step.before, step.after
        if isinstance(after, Rule) and before is None:
            if present:
                present.note(after)
            return [Request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, _body(netlink, after, ownership))]
        if isinstance(before, Rule) and after is None and present:
            return present.delete(before)
        raise TypeError(f"not a step that adds or deletes a rule: {step!r}")

    carry_out(netlink, steps, encode, HINTS)


class _Present:
    """Our rules as the kernel has them, to delete exactly the one that is meant.

    The kernel deletes the first rule that has what the request names; it has no way to ask for a rule *without* an
    interface, a mark or a network, nor for one with (or without) ``not``. Where such a wish would hit another rule of
    ours first, that one is deleted too and put back in the same send.
    """

    def __init__(self, netlink: Netlink, ownership: Ownership) -> None:
        self._netlink = netlink
        self._ownership = ownership
        self._rules: dict[tuple[str, int], list[Rule]] = {}
        for family in FAMILIES:
            for protocol, rule in _list_rules(netlink, family):
                if protocol == ownership.protocol:
                    self.note(rule)

    def note(self, rule: Rule) -> None:
        """Take a rule into account that the kernel has, or will have when it comes to the deletion."""
        self._rules.setdefault((rule.family, rule.priority), []).append(rule)

    def delete(self, wanted: Rule) -> list[Request]:
        """Return the requests that delete one rule.

        :raises OSError: ENOENT, the kernel does not have it.
        """
        rules = self._rules.get((wanted.family, wanted.priority), [])
        if wanted not in rules:
            raise OSError(errno.ENOENT, "No such rule")
        hit = [rule for rule in rules[: rules.index(wanted)] if _deletes(wanted, rule)]
        rules[:] = [rule for rule in rules if rule not in hit]
        rules.remove(wanted)
        rules += hit
        body = _body(self._netlink, wanted, self._ownership)
        deletions = [Request(RTM_DELRULE, 0, body)] * (len(hit) + 1)
        # Without NLM_F_EXCL: the kernel would take a rule for present where only its networks differ.
        return deletions + [
            Request(RTM_NEWRULE, NLM_F_CREATE, _body(self._netlink, rule, self._ownership)) for rule in hit
        ]


def _deletes(wanted: Rule, other: Rule) -> bool:
    """Whether the kernel, asked to delete ``wanted``, would take ``other`` (same family, priority, protocol)."""
    word, extra = split_fields(wanted.action)
    other_word, other_extra = split_fields(other.action)
    if word != other_word or any(other_extra.get(name) != value for name, value in extra.items()):
        return False
    unasked = ("", 0)
    pairs = zip(
        (wanted.table, wanted.source, wanted.destination, wanted.iif, wanted.oif, wanted.fwmark, wanted.fwmask),
        (other.table, other.source, other.destination, other.iif, other.oif, other.fwmark, other.fwmask),
    )
    if any(mine not in unasked and mine != theirs for mine, theirs in pairs):
        return False
    return wanted.suppress_prefixlength in (-1, other.suppress_prefixlength)


def _body(netlink: Netlink, rule: Rule, ownership: Ownership) -> bytes:
    word, extra = split_fields(rule.action)
    if word == "lookup" and not rule.table and "FRA_L3MDEV" not in extra:
        raise CodecError(f"a rule that looks up a table names it: {rule}")
    fields: Fields = {
        "family": AF_OF_FAMILY[rule.family],
        "table": rule.table if rule.table < 256 else 0,
        "action": _NUMBER_OF_ACTION[word],
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
    if word == "goto":
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
