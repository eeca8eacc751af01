# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What foreign rules do with marks: which uses are refused, which are a warning; tests/kernel/refusals has real rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.context import Context
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.model import Group
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.refusals.marks import (
    mark_refusals,
    unmasked_marks,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Settings
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.iptables_rule import split_rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.mark_use import (
    WHOLE_MARK,
    MarkUse,
    concerning,
    uses_in_words,
)
from tests.unit.nodes import cluster_node, declaration, pool

GROUP = Group("policy_routing", "eth0", ("1.2.3.1",), (pool(),), shared=True, mark=0x100, request_mark=0x200)
#: A rule, and for each use whether it writes, its mask, value and whether it is negated.
RULES = [
    ("-m mark --mark 0x1/0x3 -j ACCEPT", [(False, 0x3, 0x1, False)]),
    ("-m mark ! --mark 0x1 -j ACCEPT", [(False, WHOLE_MARK, 0x1, True)]),
    (
        "-m connmark --mark 0x10/0x30 -j CONNMARK --save-mark",
        [(False, 0x30, 0x10, False), (True, WHOLE_MARK, None, False)],
    ),
    ("-j MARK --set-xmark 0x4000/0x0", [(True, 0x4000, 0x4000, False)]),
    ("-j MARK --set-xmark 0x0/0xff", [(True, 0xFF, 0x0, False)]),
    ("-j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf0", [(True, 0xFF, None, False)]),
    ("-p tcp -j TPROXY --on-port 80 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1", [(True, 0x1, 0x1, False)]),
    ("-m socket --transparent --restore-skmark -j ACCEPT", [(True, WHOLE_MARK, None, False)]),
    ("-j SET --map-set s src --map-mark", [(True, WHOLE_MARK, None, False)]),
    ('-m comment --comment "-j MARK --set-xmark 0x1/0x1 --mark" -j KUBE-MARK-MASQ', []),
    ("-m comment --comment --mark -m dscp ! --dscp 0x01 -j RETURN", []),
]


@pytest.mark.parametrize(("rule", "expected"), RULES, ids=[row[0] for row in RULES])
def test_the_uses_in_a_rule(rule: str, expected: list[tuple[bool, int, int | None, bool]]) -> None:
    uses = uses_in_words(split_rule(rule), "X of table mangle")
    assert [(use.writes, use.mask, use.value, use.negated) for use in uses] == expected


def refused(*uses: MarkUse, mask: int = 0x1F00, rules: tuple[Rule, ...] = (), mark: int = 0x100) -> list[str]:
    context = Context(
        declaration(pool(), settings=Settings(mark_mask=mask)), cluster_node(foreign_rules=frozenset(rules))
    )
    return [str(error) for error in mark_refusals([replace(GROUP, mark=mark)], uses, context)]


def whole(value: int | None, *, writes: bool = False) -> MarkUse:
    return MarkUse("X", "text", writes, WHOLE_MARK, value)


@pytest.mark.parametrize("writes", [True, False])
def test_a_mask_with_one_of_the_bits_is_refused(*, writes: bool) -> None:
    for bit in range(32):
        assert bool(refused(MarkUse("X", "text", writes, 1 << bit, 0))) == (8 <= bit <= 12), bit


def test_a_whole_mark_is_refused_for_the_value_of_a_managed_one() -> None:
    for value, expected in ((0x100, True), (0x200, True), (0x300, True), (0x10100, True), (0x10300, False)):
        assert bool(refused(whole(value))) == expected, hex(value)
        assert bool(refused(rules=(Rule("ipv4", 9, table=9, fwmark=value, fwmask=WHOLE_MARK),))) == expected, hex(value)
    for value in (0, None, 0x1, 0xCA6C):
        assert not refused(whole(value)), value
    assert refused(whole(0xCA6C), mark=0xA00), "the tenth group has the bits of WireGuard's mark"


def test_the_remedy_names_free_bits() -> None:
    taken = [MarkUse("X", "text", False, 0xFF0000, 0), MarkUse("Y", "text", True, 0x100, 0)]
    (error,) = refused(*taken)
    assert "for example 0x1f000000" in error
    assert 'text" in chain Y, bits 0x100' in error
    (error,) = refused(*taken, MarkUse("X", "text", False, 0xFF001F00, 0))
    assert "for example 0xf8" in error, "the lowest ones if there are no others"
    (error,) = refused(*taken, MarkUse("X", "text", False, 0xFF003FFF, 0))
    assert "fewer if necessary" in error


def test_a_group_without_a_mark_has_no_conflict() -> None:
    context = Context(declaration(pool()), cluster_node())
    without = [replace(GROUP, mark=0, request_mark=0)]
    assert not list(mark_refusals(without, [whole(0x100)], context))
    assert not list(unmasked_marks(without, [whole(None, writes=True)], context))


def test_whole_marks_that_change_are_a_warning() -> None:
    context = Context(declaration(pool()), cluster_node())

    def warned(use: MarkUse) -> bool:
        return bool(list(unmasked_marks([GROUP], [use], context)))

    assert all(warned(whole(value, writes=True)) for value in (None, 0, 1, 0x1BD20))
    assert not warned(whole(0x100, writes=True)), "it is refused"
    assert not warned(MarkUse("X", "text", True, 0xFF))
    assert [warned(whole(value)) for value in (None, 0, 1)] == [True, True, False]


def test_what_follows_a_comparison_with_another_whole_mark_does_not_concern_managed_ones() -> None:
    copy = whole(None, writes=True)
    assert list(concerning([whole(51820), copy], 0x1F00)) == [whole(51820)]
    assert list(concerning([whole(0x100), copy], 0x1F00)) == [whole(0x100), copy]
    assert list(concerning([replace(whole(51820), negated=True), copy], 0x1F00))[1:] == [copy]
    assert list(concerning([MarkUse("X", "text", False, 0x4000, 0x4000), copy], 0x1F00)) == [copy]
