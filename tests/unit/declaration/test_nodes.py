# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node addresses that the controller found, those of an earlier run, and what is said about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.warnings import node_address_warnings
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.nodes import (
    Nodes,
    named_nodes,
    parse_with_nodes,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, InputErrors

POOL = {"name": "a", "networks": ["1.2.3.0/24"], "interface": "eth1"}


def parameters(addresses: Mapping[str, Sequence[str]], **unknown: Mapping[str, str]) -> dict[str, Any]:
    return {"pools": [POOL], "nodes": json.dumps({"addresses": addresses, "unknown": unknown})}


def test_addresses_of_an_earlier_run_count_for_unknown_nodes_and_families_only() -> None:
    given = parameters(
        {"n1": ["10.0.0.1"], "n2": ["10.0.0.2"], "n3": []},
        ipv4={"n3": "not asked"},
        ipv6={"n2": "not asked", "n3": "not asked"},
    )
    earlier = {
        "n1": ["10.0.0.1", "fd00::1"],  # it has no IPv6 address any more
        "n2": ["10.0.0.22", "fd00::2"],  # it has another IPv4 address
        "n3": ["10.0.0.3"],
        "n4": ["10.0.0.4"],  # it is no node any more
    }
    declaration, nodes = parse_with_nodes(given, earlier)
    assert declaration.cluster.node_addresses == ("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::2")
    assert declaration.finds_nodes
    assert nodes.addresses == {"n1": ["10.0.0.1"], "n2": ["10.0.0.2", "fd00::2"], "n3": ["10.0.0.3"]}
    assert nodes.kept == {"n2": ["fd00::2"], "n3": ["10.0.0.3"]}
    assert nodes.unknown == {"ipv4": {}, "ipv6": {"n3": "not asked"}}


@pytest.mark.parametrize("declared", [["10.0.0.9"], []])
def test_declared_addresses_count_alone(declared: list[str]) -> None:
    given = {**parameters({"n1": ["10.0.0.1"]}), "cluster": {"node_addresses": declared}}
    declaration, nodes = parse_with_nodes(given, {"n1": ["10.0.0.2"]})
    assert declaration.cluster.node_addresses == tuple(declared)
    assert not declaration.finds_nodes
    assert nodes.addresses == {"": tuple(declared)}


def test_without_nodes_there_are_no_addresses() -> None:
    declaration, nodes = parse_with_nodes({"pools": [POOL]}, {"n1": ["10.0.0.1"]})
    assert declaration.cluster.node_addresses == ()
    assert not declaration.finds_nodes
    assert nodes.kept == {}


@pytest.mark.parametrize("value", ["k8s_cluster", "[]", "{}", 7, ["n1"]])
def test_a_pattern_that_was_not_replaced_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"^nodes: .*on the controller.*Declare cluster\.node_addresses"):
        parse_with_nodes({"pools": [POOL], "nodes": value}, {})


def test_errors_name_the_node() -> None:
    with pytest.raises(InputErrors) as caught:
        parse_with_nodes(parameters({"n1": ["10.0.0.1"], "n2": ["1.2.3.4"]}), {})
    (error,) = caught.value.errors
    assert "nodes.n2 (1.2.3.4)" in error.problem
    assert "node_addresses[" not in str(error)


@pytest.mark.parametrize(
    ("addresses", "path"), [({"n1": ["10.0.0.1"]}, "nodes.n1"), ({"": ["10.0.0.1"]}, "cluster.node_addresses")]
)
def test_errors_about_found_addresses_have_the_path_of_the_node(
    addresses: Mapping[str, Sequence[str]], path: str
) -> None:
    with pytest.raises(InputError) as caught, named_nodes(Nodes(addresses, {})):
        raise InputError("cluster.node_addresses", "10.0.0.1 is the node's default gateway", "Declare others.")
    assert caught.value.path == path
    assert ("Set ip and ip6 of n1" in str(caught.value)) == (path != "cluster.node_addresses")


def test_addresses_that_no_longer_belong_to_a_node_are_named() -> None:
    earlier = {"": ["10.0.0.9"], "n1": ["10.0.0.1", "fd00::1"], "n2": ["10.0.0.2"]}
    (warning,) = node_address_warnings(Nodes({"n1": ["10.0.0.1", "10.0.0.2"]}, {}), earlier, ["ipv4"])
    assert warning.startswith("cluster.node_addresses: 10.0.0.9, fd00::1 (n1) no longer belong to a node")


def test_nodes_without_a_known_address_of_a_pools_family_are_named() -> None:
    nodes = Nodes({"n1": []}, {"ipv4": {"n1": "the node is unreachable"}, "ipv6": {"n1": "the node is unreachable"}})
    (warning,) = node_address_warnings(nodes, {}, ["ipv6"])
    assert "no IPv6 address of n1 is known (the node is unreachable)" in warning
    assert "Set ip6 of these hosts" in warning
    assert list(node_address_warnings(nodes, {}, [])) == []
    assert list(node_address_warnings(Nodes({"n1": []}, {}), {}, ["ipv4"])) == []
