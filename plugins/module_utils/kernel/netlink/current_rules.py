# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the managed rules that the kernel mistakes for each other, so that each request affects exactly one rule.

Among rules of one family, priority and protocol, net/core/fib_rules.c compares as follows:

- A *deletion* deletes the first rule that has everything that the request names. A request cannot name the absence of a
  selector (no interface, no mark, no network), nor ``not``, nor the target of a ``goto``.
- An *exclusive addition* (``NLM_F_EXCL``) is refused with EEXIST even if the existing rule differs in ``not`` or the target of
  the ``goto``, or if it has a ``from`` or ``to`` and the new rule has none.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...state import Rule

_Values = tuple[object, ...]


class CurrentRules:
    """The managed rules in the kernel's order, updated with every step that is about to be sent."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._positions: dict[Rule, int] = {}
        self._next_position = 0
        self._found_by: dict[tuple[bool, ...], dict[_Values, list[Rule]]] = {}
        self._mistakable: set[Rule] = set()
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Add a rule after all others of its priority."""
        self._positions[rule] = self._next_position
        self._next_position += 1
        self._mistakable.update(_refused_by(rule))
        for named, rules in self._found_by.items():
            rules.setdefault(_named_values(rule, named), []).append(rule)

    def gives_false_eexist(self, rule: Rule) -> bool:
        """Whether the kernel would refuse to add this rule exclusively, although it does not exist."""
        return rule not in self._positions and _plain(rule) in self._mistakable

    def remove(self, removed: Rule) -> list[Rule]:
        """Remove a rule; return the rules that the kernel deletes before it, which have to be added again.

        :raises OSError: ENOENT, it does not exist.
        """
        if removed not in self._positions:
            raise OSError(errno.ENOENT, "No such rule")
        position = self._positions[removed]
        earlier = (rule for rule in self._deletable_by(removed) if self._positions.get(rule, position) < position)
        hit = sorted(earlier, key=lambda rule: self._positions[rule])
        for rule in hit:
            self._positions[rule] = self._next_position
            self._next_position += 1
        del self._positions[removed]
        return hit

    def _deletable_by(self, deleted: Rule) -> list[Rule]:
        """Return the rules that a request to delete this rule may delete."""
        named = tuple(value not in ("", 0) for value in _values(deleted))
        if named not in self._found_by:
            found = self._found_by.setdefault(named, {})
            for rule in self._positions:
                found.setdefault(_named_values(rule, named), []).append(rule)
        candidates = dict.fromkeys(self._found_by[named].get(_named_values(deleted, named), []))
        extra = set(deleted.extra)
        return [rule for rule in candidates if extra.issubset(rule.extra)]


def _values(rule: Rule) -> _Values:
    """Return what a request can name besides family, priority and action; ``""`` and 0 are not named."""
    networks = (rule.source, rule.destination)
    suppressed = rule.suppress_prefixlength + 1
    return (rule.table, *networks, rule.iif, rule.oif, rule.fwmark, rule.fwmask, suppressed)


def _named_values(rule: Rule, named: tuple[bool, ...]) -> _Values:
    chosen = (value for value, is_named in zip(_values(rule), named) if is_named)
    return (rule.family, rule.priority, rule.action, *chosen)


def _plain(rule: Rule) -> Rule:
    # The kernel compares only some of the extra attributes. To assume that it compares none is safe: without NLM_F_EXCL the
    # rule is added in any case.
    return replace(rule, extra=(), invert=False, goto=0) if rule.extra or rule.invert or rule.goto else rule


def _refused_by(rule: Rule) -> Iterator[Rule]:
    """Yield the rules whose exclusive addition the kernel refuses because of this rule."""
    plain = _plain(rule)
    yield plain
    if rule.source:
        yield replace(plain, source="")
    if rule.destination:
        yield replace(plain, destination="")
    if rule.source and rule.destination:
        yield replace(plain, source="", destination="")
