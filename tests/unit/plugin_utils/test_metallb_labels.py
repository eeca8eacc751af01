# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of nodes that are ready, and advertisements that fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_labels import (
    advertisements,
    announce_again,
    check_links,
    commands,
    labels_of,
    links_of_result,
    missing,
    pools_on_new_links,
    stale,
)

POOLS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["eth0.100", "eth1"]))
NODES = st.dictionaries(st.sampled_from(["n1", "n2", "n3"]), POOLS)


def changed(labels: dict[str, dict[str, str]], changes: dict[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
    result = {node: dict(of_node) for node, of_node in labels.items()}
    for node, words in changes.items():
        for word in words:
            if word.endswith("-"):
                del result[node][word[:-1]]
            else:
                key, _equals, value = word.partition("=")
                result.setdefault(node, {})[key] = value
    return result


@given(NODES, NODES)
def test_no_node_has_a_label_that_is_wrong_between_the_two_changes(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]
) -> None:
    current = {node: {**labels_of(links), "zone": "x"} for node, links in before.items()}
    between = changed(current, stale(current, after))
    for node, links in after.items():
        managed = {key: value for key, value in between.get(node, {}).items() if key != "zone"}
        assert managed.items() <= labels_of(links).items()
    final = changed(between, missing(between, after))
    for node, labels in final.items():
        expected = labels_of(after[node]) if node in after else labels_of(before[node])
        assert {key: value for key, value in labels.items() if key != "zone"} == expected
        assert (labels.get("zone") == "x") == (node in before), "other labels are unchanged"
    assert stale(final, after) == missing(final, after) == {}


def test_nodes_with_the_same_change_share_a_command() -> None:
    changes = {f"n{index}": ("metallb-routing.homeward/a=eth0",) for index in range(150)} | {"other": ("x-",)}
    found = list(commands(changes))
    assert [command.count(" n") for command in found] == [101, 51, 1], "with 'node'"
    assert found[2] == "$kubectl label node other x- --overwrite"


def test_names_that_cannot_be_in_a_label_are_refused() -> None:
    check_links([("external", "eth0.100"), ("a.b_c", "vlan-7")])
    with pytest.raises(
        InputErrors, match=r"^pool external: eth0- is the name of the link, but not the value of a label"
    ):
        check_links([("external", "eth0-")])


def spec(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["metadata"]["name"]: one["spec"].get("nodeSelectors") for one in found}


def test_advertisements_by_name_of_the_node() -> None:
    links = {"h1": {"a": "eth0", "b": "eth0"}, "h2": {"a": "eth0", "b": "Eth_1"}, "h3": {"a": "eth0"}}
    found = advertisements(links, {"h2": "node2"}, "metallb", by_label=False)
    expressions = {
        name: selectors and selectors[0]["matchExpressions"][0]["values"] for name, selectors in spec(found).items()
    }
    assert expressions == {"a": None, "b-eth0": ["h1"], "b-eth-1": ["node2"]}
    assert found[0]["metadata"]["namespace"] == "metallb"
    assert found[0]["spec"] == {"ipAddressPools": ["a"], "interfaces": ["eth0"]}


def test_advertisements_by_label_always_require_it() -> None:
    found = advertisements({"h1": {"a": "eth0"}}, {}, "metallb", by_label=True)
    assert spec(found) == {"a": [{"matchLabels": {"metallb-routing.homeward/a": "eth0"}}]}


def test_services_of_a_pool_are_found_by_metallbs_annotation() -> None:
    services = "default\tweb\texternal\t\nshop\told\t\texternal\nshop\tother\tinternal\t\nkube-system\tdns\t\t\n"
    assert list(announce_again(services, ["external"], "7")) == [
        "$kubectl annotate service web --namespace=default metallb-routing.homeward/link-created=7 --overwrite",
        "$kubectl annotate service old --namespace=shop metallb-routing.homeward/link-created=7 --overwrite",
    ]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, None),
        ({"failed": True, "cases": []}, None),
        ({"unreachable": True}, None),
        ({"cases": [], "confirmed": False}, None),
        ({"skipped": True}, {}),
        ({"cases": [{"pool": "a", "interface": "eth0", "case": "same_subnet"}], "confirmed": True}, {"a": "eth0"}),
    ],
)
def test_only_a_node_whose_run_succeeded_is_ready(result: Any, expected: Any) -> None:
    assert links_of_result(result) == expected


@pytest.mark.parametrize(
    ("labels", "commands", "expected"),
    [
        ({"a": "eth0.7", "b": "eth0.8"}, ["ip link add link eth0 name eth0.7 type vlan id 7"], {"a"}),
        ({}, ["ip link add link eth0 name eth0.7 type vlan id 7"], set()),
        ({"a": "eth0.7"}, ["ip link set eth0.7 up\nip route add 1.2.3.0/24 dev eth0.7"], set()),
        ({"a": "eth0.8"}, ["ip link add link eth0 name eth0.7 type vlan id 7"], set()),
    ],
)
def test_a_link_that_is_created_late(labels: dict[str, str], commands: list[str], expected: set[str]) -> None:
    cases = [{"pool": "a", "interface": "eth0.7"}, {"pool": "b", "interface": "eth0.8"}]
    result = {"cases": cases, "commands": commands}
    assert pools_on_new_links(result, labels_of(labels)) == expected
    assert pools_on_new_links({**result, "failed": True}, labels_of(labels)) == set()
