# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves the managed rules before foreign ones that would route replies elsewhere; pure.

The kernel gives a rule without a priority the one before the second rule of the family (``fib_default_rule_pref``), so the
rules of ``wg-quick`` and of policy-based routing are often before the managed ones. These match only packets that belong to
pools. Moving them changes nothing for others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ..state import Node, NodeState, Rule
from ..state.family import FAMILIES, FAMILY_NAMES, contains, covering, family_of
from ..state.route import LOCAL_TABLE

_L3MDEV = "FRA_L3MDEV"  # the kernel's rule for VRFs, which matches only packets of VRFs


@dataclass(frozen=True)
class Placement:
    """A desired state whose rules are where they take effect.

    :param notes: a sentence for each family whose rules are not at the declared priorities.
    :param problems: a sentence for each family in which a foreign rule routes replies, because there is no room before it.
    :param obstacles: the foreign rules in these families that may do so.
    """

    state: NodeState
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    obstacles: frozenset[Rule] = frozenset()


@dataclass(frozen=True)
class _Traffic:
    """The packets of one family that the managed rules route.

    :param marks: of replies; 0 if packets have none.
    :param sources: of replies before address translation is reverted: pods, nodes, pools.
    :param cluster: networks to which managed rules route nothing.
    :param links: on which requests arrive.
    """

    marks: frozenset[int]
    sources: tuple[str, ...]
    cluster: tuple[str, ...]
    links: frozenset[str]


def place_rules(desired: NodeState, node: Node) -> Placement:
    """Return the desired state with its rules before every foreign rule that would match a reply.

    They stay together, in their order, and after the rule of the local table. The same foreign rules always give the same
    result, wherever the managed rules are now.
    """
    rules = set(desired.rules)
    notes, problems = [], []
    obstacles: set[Rule] = set()
    for family in FAMILIES:
        own = frozenset(rule for rule in desired.rules if rule.family == family)
        foreign = sorted(
            (rule for rule in node.foreign_rules if rule.family == family), key=lambda rule: (rule.priority, rule)
        )
        in_the_way = _in_the_way(own, foreign, _traffic(family, desired, node))
        if not in_the_way:
            continue
        first, name = in_the_way[0], FAMILY_NAMES[family]
        moved = _moved(own, first.priority, foreign)
        if moved:
            rules = (rules - own) | moved
            notes.append(
                f'priority_base: the {name} rules have the priorities {_range(moved)} instead of {_range(own)}, because "{first}",'
                " which is managed by someone else, would match replies."
            )
        else:
            obstacles.update(in_the_way)
            problems.append(
                f'priority_base: "{first}", which is managed by someone else, matches {name} replies before the managed rules do,'
                f" and {len(_priorities(own))} free priorities in a row are needed between it and the rule of the local table."
                f" Give it a priority above {max(_priorities(own))}."
            )
    return Placement(replace(desired, rules=frozenset(rules)), tuple(notes), tuple(problems), frozenset(obstacles))


def _in_the_way(own: Collection[Rule], foreign: Iterable[Rule], traffic: _Traffic) -> list[Rule]:
    """Return the foreign rules that match replies before the managed rules do, or that these let packets skip."""
    if not own:
        return []
    first, last = _priorities(own)[0], _priorities(own)[-1]
    skipping = min((rule.priority for rule in own if rule.action == "goto"), default=last)
    return [
        rule
        for rule in foreign
        if rule.priority < last and (skipping <= rule.priority or _diverts(rule, first, traffic))
    ]


def _diverts(rule: Rule, first: int, traffic: _Traffic) -> bool:
    """Whether the rule may match a reply and route it; in doubt it does.

    :param first: the lowest managed priority.
    """
    passes = rule.action == "nop" or (rule.action == "goto" and rule.goto <= first)
    if passes or _is_local(rule) or rule.oif or any(name == _L3MDEV for name, _value in rule.extra):
        return False
    if rule.invert:
        return True
    if rule.fwmask and not any(mark & rule.fwmask == rule.fwmark for mark in traffic.marks):
        return False  # other programs set the other bits
    if rule.iif in traffic.links or (rule.destination and covering(traffic.cluster, rule.destination)):
        return False
    return not rule.source or any(_overlap(rule.source, network) for network in traffic.sources)


def _is_local(rule: Rule) -> bool:
    return rule.action == "lookup" and rule.table == LOCAL_TABLE


def _overlap(one: str, other: str) -> bool:
    return contains(one, other) or contains(other, one)


def _traffic(family: str, desired: NodeState, node: Node) -> _Traffic:
    routes = [route for route in desired.routes if route.family == family and not route.is_default]
    cluster = tuple(route.destination for route in routes if route.type == "throw")
    rules = [rule for rule in desired.rules if rule.family == family]
    own = (item.address.partition("/")[0] for item in node.foreign_addresses if family_of(item.address) == family)
    return _Traffic(
        frozenset(rule.fwmark for rule in rules if rule.fwmark and rule.action != "nop") or frozenset({0}),
        (*cluster, *own, *(route.destination for route in routes if route.interface)),
        cluster,
        frozenset(rule.iif for rule in rules if rule.iif and not rule.invert),
    )


def _moved(own: Collection[Rule], limit: int, foreign: Iterable[Rule]) -> frozenset[Rule]:
    """Return the rules at consecutive priorities directly before a limit; none if there is no room."""
    taken = {rule.priority: rule for rule in foreign}
    local = min((rule.priority for rule in taken.values() if _is_local(rule) and rule.matches_all), default=0)
    priorities = _priorities(own)
    for start in range(limit - len(priorities), local, -1):
        if taken.keys().isdisjoint(range(start, start + len(priorities))):
            target = {priority: start + number for number, priority in enumerate(priorities)}
            return frozenset(
                replace(rule, priority=target[rule.priority], goto=target.get(rule.goto, rule.goto)) for rule in own
            )
    return frozenset()


def _priorities(rules: Collection[Rule]) -> list[int]:
    return sorted({rule.priority for rule in rules})


def _range(rules: Collection[Rule]) -> str:
    priorities = _priorities(rules)
    return f"{priorities[0]}-{priorities[-1]}" if len(priorities) > 1 else str(priorities[0])
