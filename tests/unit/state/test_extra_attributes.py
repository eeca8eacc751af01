# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of routes and rules on the node that no declaration can ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Route, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.extra_attributes import (
    Value,
    desired_fields,
    extra_attributes,
    extra_text,
)

EXTRA = extra_attributes({"tos": 16, "RTA_FLOW": 5, "RTA_METRICS": b"\x08\x00\x02\x00"})
ROUTE = Route("ipv4", 7701, "10.9.8.0/24", interface="eth0")
RULE = Rule("ipv4", 2800, table=7701)
NAMES = some.sampled_from(["FRA_FLOW", "tos", "FRA_29", "FRA_UID_RANGE"])


@given(values=some.dictionaries(NAMES, some.one_of(some.integers(0, 2**32), some.binary(max_size=9))), data=some.data())
def test_the_order_of_the_message_does_not_matter(values: dict[str, Value], data: some.DataObject) -> None:
    shuffled = dict(data.draw(some.permutations(list(values.items()))))
    extra = extra_attributes(shuffled)
    assert extra == extra_attributes(values)
    assert dict(extra) == values
    assert bool(extra_text(extra)) == bool(values)


@pytest.mark.parametrize("item", [ROUTE, RULE], ids=str)
def test_an_object_with_them_differs_and_says_so(item: Route | Rule) -> None:
    odd = replace(item, extra=EXTRA)
    assert len({item, odd, replace(odd)}) == 2
    assert sorted([odd, item]) == [item, odd]
    assert str(odd) == f"{item} with RTA_FLOW=5 RTA_METRICS=0x08000200 tos=16"
    assert odd.words() == item.words(), "ip has other words for them"


def test_one_next_hop_of_several_is_written_so() -> None:
    route = replace(ROUTE, gateway="10.0.0.2", metric=5, multipath=True)
    assert str(route) == "10.9.8.0/24 table 7701 metric 5 nexthop via 10.0.0.2 dev eth0"


def test_they_are_no_fields_of_a_desired_object() -> None:
    assert {"extra", "multipath"}.isdisjoint(part.name for part in desired_fields(Route))
    assert [part.name for part in desired_fields(Rule)][-1] == "suppress_prefixlength"
