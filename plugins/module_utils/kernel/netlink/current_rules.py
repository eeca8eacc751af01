# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of our rules the kernel would take for another, so that each step hits exactly the rule that is meant.

Among rules of one family, priority and protocol (``net/core/fib_rules.c``):

- The kernel *deletes* the first rule that has everything the request names. A request cannot name the lack of something (no
  interface, no mark, no network), nor ``not``, nor the target of a ``goto``.
- Asked to add a rule *exclusively* it takes a rule for present although ``not`` or the target of the ``goto`` differs, or
  although that one has a ``from`` or ``to`` and the new one has none.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...state import Rule

_Values = tuple[object, ...]


class CurrentRules:
    """Our rules in the kernel's order, kept up to date with every step that is going to be sent."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._places: dict[Rule, int] = {}
        self._next_place = 0
        self._found_by: dict[tuple[bool, ...], dict[_Values, list[Rule]]] = {}
        self._mistaken: set[Rule] = set()
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Note a rule that the kernel has, or will have, behind all others of its priority."""
        self._places[rule] = self._next_place
        self._next_place += 1
        self._mistaken.update(_looks(rule))
        for named, rules in self._found_by.items():
            rules.setdefault(_named_values(rule, named), []).append(rule)

    def gives_false_eexist(self, rule: Rule) -> bool:
        """Whether the kernel would take another rule for this one, which it does not have, and refuse to add it."""
        return rule not in self._places and _plain(rule) in self._mistaken

    def remove(self, wanted: Rule) -> list[Rule]:
        """Note that a rule goes; return the other rules that the kernel would delete before it, to be put back.

        :raises OSError: ENOENT, the kernel does not have it.
        """
        if wanted not in self._places:
            raise OSError(errno.ENOENT, "No such rule")
        place = self._places[wanted]
        earlier = (rule for rule in self._deletable_by(wanted) if self._places.get(rule, place) < place)
        hit = sorted(earlier, key=lambda rule: self._places[rule])
        for rule in hit:
            self._places[rule] = self._next_place
            self._next_place += 1
        del self._places[wanted]
        return hit

    def _deletable_by(self, wanted: Rule) -> list[Rule]:
        named = tuple(value not in ("", 0) for value in _values(wanted))
        if named not in self._found_by:
            found = self._found_by.setdefault(named, {})
            for rule in self._places:
                found.setdefault(_named_values(rule, named), []).append(rule)
        candidates = self._found_by[named].get(_named_values(wanted, named), [])
        return [rule for rule in dict.fromkeys(candidates) if set(wanted.extra) <= set(rule.extra)]


def _values(rule: Rule) -> _Values:
    """Return what a request may name, beside what every request names; ``""`` and 0 stand for not named."""
    networks = (rule.source, rule.destination)
    suppressed = rule.suppress_prefixlength + 1
    return (rule.table, *networks, rule.iif, rule.oif, rule.fwmark, rule.fwmask, suppressed)


def _named_values(rule: Rule, named: tuple[bool, ...]) -> _Values:
    chosen = (value for value, is_named in zip(_values(rule), named) if is_named)
    return (rule.family, rule.priority, rule.action, *chosen)


def _plain(rule: Rule) -> Rule:
    # The kernel compares some of the extra attributes and not others; to take none as compared does no harm.
    return replace(rule, extra=(), invert=False, goto=0) if rule.extra or rule.invert or rule.goto else rule


def _looks(rule: Rule) -> Iterator[Rule]:
    """Yield the rules that the kernel, asked to add them, would take this one for."""
    plain = _plain(rule)
    yield plain
    if rule.source:
        yield replace(plain, source="")
    if rule.destination:
        yield replace(plain, destination="")
    if rule.source and rule.destination:
        yield replace(plain, source="", destination="")
