# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors, compared with the vectors of k8s.io/apimachinery and with a plain implementation."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import ErrorCollector
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import (
    READY_PREFIX,
    Labels,
    Selector,
    any_matches,
    read_selectors,
    unknown_keys,
)

KEYS = ("app", "zone", "example.com/tier")
VALUES = ("a", "b", "")


def selectors(*written: Any) -> tuple[Selector, ...]:
    errors = ErrorCollector()
    found = read_selectors(errors, "path", list(written))
    errors.raise_if_any()
    return found


def problems(written: Any) -> list[str]:
    errors = ErrorCollector()
    read_selectors(errors, "path", written)
    return [str(error) for error in errors._errors]  # noqa: SLF001


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


# Of TestSelectorMatches and TestLabelSelectorMatches in apimachinery's pkg/labels, as LabelSelectors.
@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {"x": "y"}, True),
        (None, {}, True),
        ({"matchLabels": {"x": "y"}}, {"x": "y"}, True),
        ({"matchLabels": {"x": "y", "z": "w"}}, {"x": "y", "z": "w"}, True),
        ({"matchLabels": {"x": "y"}}, {"z": "w"}, False),
        ({"matchLabels": {"x": ""}}, {"x": ""}, True),
        ({"matchLabels": {"x": ""}}, {}, False),
        (expression("x", "In", "x", "y"), {"x": "y"}, True),
        (expression("x", "In", "x", "y"), {"x": "z"}, False),
        (expression("x", "In", "a"), {}, False),
        (expression("x", "NotIn", "foo", "bar"), {"x": "z"}, True),
        (expression("x", "NotIn", "foo", "bar"), {"x": "foo"}, False),
        (expression("x", "NotIn", "foo"), {}, True),
        (expression("x", "Exists"), {"x": ""}, True),
        (expression("x", "Exists"), {"y": "x"}, False),
        (expression("x", "DoesNotExist"), {"y": "x"}, True),
        (expression("x", "DoesNotExist"), {"x": ""}, False),
    ],
)
def test_vectors_of_kubernetes(selector: Any, labels: dict[str, str], expected: bool) -> None:
    assert any_matches(selectors(selector), Labels(labels)) is expected


def matches_plainly(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Evaluate a selector as its documentation describes it."""
    wanted = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    for one in selector.get("matchExpressions", ()):
        has = one["key"] in labels
        inside = has and labels[one["key"]] in one.get("values", ())
        answers = {"In": inside, "NotIn": not inside, "Exists": has, "DoesNotExist": not has}
        wanted = wanted and answers[one["operator"]]
    return wanted


LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
WITH_VALUES = st.fixed_dictionaries(
    {
        "key": st.sampled_from(KEYS),
        "operator": st.sampled_from(["In", "NotIn"]),
        "values": st.lists(st.sampled_from(VALUES), min_size=1, unique=True),
    }
)
WITHOUT = st.fixed_dictionaries({"key": st.sampled_from(KEYS), "operator": st.sampled_from(["Exists", "DoesNotExist"])})
SELECTORS = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(WITH_VALUES | WITHOUT)}
)


@given(st.lists(SELECTORS, max_size=3), LABELS)
def test_selectors_match_as_a_plain_implementation_says(written: list[dict[str, Any]], labels: dict[str, str]) -> None:
    expected = any(matches_plainly(one, labels) for one in written)
    assert any_matches(selectors(*written), Labels(labels)) is expected


@given(st.lists(SELECTORS, max_size=3), LABELS, st.sets(st.sampled_from(KEYS)))
def test_an_answer_is_given_only_if_all_labels_that_are_possible_give_it(
    written: list[dict[str, Any]], labels: dict[str, str], known: set[str]
) -> None:
    """Kleene's logic never gives a wrong answer; without negations of one another it is exact, which is not asserted."""
    told = Labels({key: value for key, value in labels.items() if key in known}, frozenset(known))
    found = any_matches(selectors(*written), told)
    hidden = [key for key in KEYS if key not in known]
    possible = set()
    for values in product((None, *VALUES, "other"), repeat=len(hidden)):
        more = {key: value for key, value in zip(hidden, values, strict=True) if value is not None}
        possible.add(any(matches_plainly(one, {**told.values, **more}) for one in written))
    assert found is None or possible == {found}
    if found is None:
        assert unknown_keys(selectors(*written), told) <= set(hidden)
        assert unknown_keys(selectors(*written), told)


def test_the_label_that_apply_sets_decides_nothing() -> None:
    """Otherwise nodes without it would never be configured, so they would never get it."""
    key = f"{READY_PREFIX}external"
    only = selectors({"matchLabels": {key: "eth0.100"}})
    assert any_matches(only, Labels({})) is True
    assert any_matches(only, Labels({key: "eth1"})) is True
    assert any_matches(selectors({"matchLabels": {key: "eth0.100", "zone": "a"}}), Labels({"zone": "b"})) is False


@pytest.mark.parametrize(
    ("written", "path", "words"),
    [
        ("app=a", "path", "is not a list"),
        (["app=a"], "path[0]", "is not a selector"),
        ([{"app": "a"}], "path[0].app", "Labels belong below matchLabels"),
        ([{"matchLabels": {"app": True}}], "path[0].matchLabels.app", "Put it in quotes"),
        ([{"matchLabels": {"app": "a b"}}], "path[0].matchLabels.app", "is not the value of a label"),
        ([{"matchLabels": {"app": "-a"}}], "path[0].matchLabels.app", "is not the value of a label"),
        ([{"matchLabels": {"Example.com/app": "a"}}], "path[0].matchLabels", "is not the key of a label"),
        (
            [{"matchExpressions": [{"operator": "In", "values": ["a"]}]}],
            "path[0].matchExpressions[0].key",
            "null is not",
        ),
        ([expression("app", "in", "a")], "path[0].matchExpressions[0].operator", "In, NotIn, Exists, DoesNotExist"),
        ([expression("app", "In")], "path[0].matchExpressions[0].values", "In needs values"),
        ([expression("app", "Exists", "a")], "path[0].matchExpressions[0].values", "Exists allows no values"),
        ([{"matchExpressions": {"key": "app"}}], "path[0].matchExpressions", "is not a list"),
    ],
)
def test_what_kubernetes_refuses_is_an_error(written: Any, path: str, words: str) -> None:
    (problem,) = problems(written)
    assert problem.startswith(f"{path}: ")
    assert words in problem
