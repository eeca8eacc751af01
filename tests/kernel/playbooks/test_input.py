# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a wrong shape: refused with path, reason and remedy, without tracebacks and argument specifications."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import Node
from tests.support.playbooks import Played, play, variables

POOLS = '[{"name": "external", "networks": ["1.2.3.0/24"], "interface": "eth0.100"}]'


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as made:
        yield made


def run(node: Node, *options: str) -> Played:
    return play(node, "apply", {**variables(), "metallb_routing_persist": False}, "--check", *options)


def assert_refused(played: Played, words: tuple[str, ...]) -> None:
    assert played.code != 0
    assert [word for word in words if word not in played.text] == [], played.text
    for noise in ("Traceback", "argument_spec_data", "unhashable", "NoneType", "Validation of arguments failed"):
        assert noise not in played.text


def given(name: str, value: Any) -> tuple[str, str]:
    return ("-e", json.dumps({name: value}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-e", f"metallb_routing_pools='{POOLS}'"), ("metallb_routing_pools: ", " is not a list", "Pass JSON: -e '{")),
        (
            given("metallb_routing_pools", {"name": "external"}),
            ("metallb_routing_pools: a mapping is not a list", "dash"),
        ),
        (given("metallb_routing_pools", None), ("metallb_routing_pools: no pool is declared for node1",)),
        (given("metallb_routing_pools", 7), ("metallb_routing_pools: 7 is not a list", "Give a list of pools")),
        (given("metallb_routing_pools", ["external"]), ("pools[0]: ", "not a mapping")),
        (given("onlink_route_pools", {"a": 1}), ("onlink_route_pools: a mapping is not a list",)),
        (("-e", "policy_routing_pools=x"), ("policy_routing_pools: x is not a list",)),
        (("-e", 'metallb_routing_cluster=\'{"kube_proxy_mode": "ipvs"}\''), ("cluster: ", "-e '{")),
        (given("metallb_routing_cluster", ["ipvs"]), ("cluster: a list is not a mapping",)),
        (
            given("metallb_routing_cluster", {"node_addresses": {"node1": "192.168.1.11"}}),
            ("cluster.node_addresses: ",),
        ),
        (given("metallb_routing_state", "gone"), ("state: gone is not one of the choices", "present, absent")),
        (given("metallb_routing_priority_base", "x"), ("priority_base: x is not a whole number",)),
        (given("metallb_routing_iptables_variant", "ipfw"), ("iptables_variant: ipfw is not one of the choices",)),
    ],
)
def test_a_wrong_shape_is_refused(node: Node, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert_refused(run(node, *options), words)


@pytest.mark.parametrize("role", ["node", "policy_routing"])
@pytest.mark.parametrize("hosts", [7, {"a": 1}, "nobody"])
def test_hosts_that_are_no_pattern_are_refused(node: Node, tmp_path: Path, role: str, hosts: Any) -> None:
    values = {
        **variables(),
        "metallb_routing_hosts": hosts,
        "policy_routing_pools": [
            {"name": "x", "networks": ["1.2.5.0/24"], "interface": "eth1", "gateways": ["1.2.5.1"]}
        ],
    }
    (tmp_path / "site.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "roles": [f"homeward.metallb_routing.{role}"]}])
    )
    assert_refused(play(node, str(tmp_path / "site.yml"), values, "--check"), ("metallb_routing_hosts: ",))


@pytest.mark.parametrize("hosts", [["node1"], ["nodes"], "node1", "nodes:!other", "", None])
def test_hosts_may_be_a_pattern_or_a_list(node: Node, hosts: Any) -> None:
    played = run(node, *given("metallb_routing_hosts", hosts))
    assert played.code == 0, played.text
    assert played.counts["node1"]["changed"] == 1


@pytest.mark.parametrize("name", ["metallb_routing_cluster", "same_subnet_pools"])
def test_null_is_unset(node: Node, name: str) -> None:
    played = run(node, *given(name, None))
    assert played.code == 0, played.text


def test_pools_and_cluster_are_not_read_for_a_removal(node: Node) -> None:
    values = {
        "metallb_routing_pools": "{{ undefined }}",
        "metallb_routing_cluster": 7,
        "metallb_routing_hosts": "node1",
    }
    played = play(node, "remove", values)
    assert played.code == 0, played.text


def test_roles_in_plays_of_others(node: Node, tmp_path: Path) -> None:
    """Included with tags, become per task, delegation, one host at a time, and a rescue."""
    role = {"name": "homeward.metallb_routing.node"}
    apply: dict[str, Any] = {"apply": {"tags": ["routing"], "become": True}}
    tasks = [
        {"ansible.builtin.include_role": {**role, **apply}, "tags": ["routing"]},
        {"ansible.builtin.import_role": role, "tags": ["routing"], "delegate_to": "node1"},
        {
            "block": [{"ansible.builtin.include_role": {**role, **apply}, "vars": {"metallb_routing_pools": 7}}],
            "rescue": [{"ansible.builtin.debug": {"msg": "said: {{ ansible_failed_result.errors[0].path }}"}}],
            "tags": ["routing"],
        },
    ]
    book = {"hosts": "all", "gather_facts": False, "serial": 1, "any_errors_fatal": True, "tasks": tasks}
    (tmp_path / "site.yml").write_text(
        json.dumps([{**book, "vars": {**variables(), "metallb_routing_persist": False}}])
    )
    played = play(node, str(tmp_path / "site.yml"), {}, "--tags", "routing", "--check")
    assert played.code == 0, played.text
    assert "said: metallb_routing_pools" in played.text
    assert played.changed() == 2
