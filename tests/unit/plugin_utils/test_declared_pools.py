# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pools of all five variables as one list."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.declared_pools import (
    as_written,
    is_by_variable,
    join_pools,
)


def test_the_variable_decides_the_case_of_its_pools() -> None:
    pools = {
        "policy_routing_pools": [{"name": "c", "case": "auto"}],
        "metallb_routing_pools": [{"name": "a", "case": "same_subnet"}, {"name": "b"}],
        "onlink_route_pools": None,
        "same_subnet_pools": "",
    }
    joined, numbers = join_pools(pools, "policy_routing_pools")
    assert joined == [
        {"name": "a", "case": "same_subnet"},
        {"name": "b"},
        {"name": "c", "case": "policy_routing"},
    ]
    assert list(numbers.items()) == [("metallb_routing_pools", 2), ("policy_routing_pools", 1)]


@pytest.mark.parametrize(
    ("value", "problem", "remedy"),
    [
        ('[{"name": "a"}]', "is not a list", "-e '{\"same_subnet_pools\": [...]}'"),
        ({"name": "a"}, "a mapping is not a list", "dash"),
        (7, "7 is not a list", "Give a list"),
        (False, "false is not a list", "Give a list"),
        ([], "the list is empty", "homeward.metallb_routing.remove"),
        (None, "the list is empty", "homeward.metallb_routing.remove"),
    ],
)
def test_what_is_not_a_list_is_refused(value: Any, problem: str, remedy: str) -> None:
    with pytest.raises(InputErrors) as caught:
        join_pools({"same_subnet_pools": value}, "same_subnet_pools")
    (error,) = caught.value.errors
    assert error.path == "same_subnet_pools"
    assert problem in error.problem
    assert remedy in error.remedy


def test_pools_that_are_no_mappings_are_left_to_the_check_of_pools() -> None:
    assert join_pools({"same_subnet_pools": ["a", None]}) == (["a", None], {"same_subnet_pools": 2})


def test_a_pool_is_not_taken_for_variables() -> None:
    assert is_by_variable({"metallb_routing_pools": []})
    assert not is_by_variable({"name": "a"})
    assert not is_by_variable([])
    assert not is_by_variable("text")


def test_messages_have_the_path_that_the_user_wrote() -> None:
    text = "pools[0].mark and pools[2].networks[0] (pool c), pools[3]: own_pools[1], pools: none"
    expected = "metallb_routing_pools[0].mark and policy_routing_pools[1].networks[0] (pool c), pools[3]: own_pools[1], pools: none"
    result = {"msg": text, "errors": [{"path": "pools[1].x", "message": text}], "warnings": [text, 7], "changed": False}
    numbers = {"metallb_routing_pools": 1, "policy_routing_pools": 2}
    assert as_written(result, numbers) == {
        "msg": expected,
        "errors": [{"path": "policy_routing_pools[0].x", "message": expected}],
        "warnings": [expected, 7],
        "changed": False,
    }


def test_messages_about_the_option_of_the_module_stay() -> None:
    assert as_written({"msg": "pools[0]: wrong"}, {}) == {"msg": "pools[0]: wrong"}
    assert as_written({"changed": True}, {"metallb_routing_pools": 1}) == {"changed": True}
