# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles by a real ansible-playbook: together they do not undo each other, alone they refuse what is not theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.snapshot import Snapshot, assert_same
from tests.support.node import Node
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER, EXTERNAL, INSIDE, SECOND, STORAGE, declared
from tests.support.snapshots import without_lines

ROLE = "homeward.metallb_routing."


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as made:
        yield made


def snapshot(node: Node) -> Snapshot:
    """Return a snapshot without the copy of pyroute2 that a run through Ansible brings."""
    found = node.snapshot()
    return found.replaced(files=without_lines(found["files"], "^/var/lib/homeward.metallb_routing/python/"))


def play_roles(node: Node, folder: Path, plays: Sequence[Sequence[str]], values: dict[str, Any]) -> Played:
    """Run plays of roles; the variables are the group's, as in an inventory's group_vars."""
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars/all.json").write_text(json.dumps({"metallb_routing_cluster": dict(CLUSTER), **values}))
    book = [{"hosts": "all", "gather_facts": False, "roles": [f"{ROLE}{role}" for role in roles]} for roles in plays]
    (folder / "site.yml").write_text(json.dumps(book))
    return play(node, str(folder / "site.yml"), {})


def test_two_roles_do_not_purge_each_other(node: Node, tmp_path: Path) -> None:
    before = snapshot(node)
    values = {"onlink_route_pools": [dict(STORAGE)], "policy_routing_pools": [dict(EXTERNAL)]}
    played = play_roles(node, tmp_path, [["onlink_route"], ["policy_routing"], ["onlink_route"]], values)
    assert played.code == 0, played.text
    assert played.changed() == 1, "the first role makes the node right for the pools of both"
    together = snapshot(node)
    assert '"10.9.8.0/24"' in together["routes4"]
    assert '"1.2.3.0/24"' in together["routes4"]
    node.change("pool_routing", {"state": "absent"})
    assert_same(before, snapshot(node))
    node.change("pool_routing", declared({**EXTERNAL, "case": "policy_routing"}, {**STORAGE, "case": "onlink_route"}))
    assert_same(together, snapshot(node), "routes4", "routes6", "rules4", "rules6", "sysctls")
    node.change("pool_routing", {"state": "absent"})


@pytest.mark.parametrize(
    ("role", "pool", "path", "words"),
    [
        ("same_subnet", STORAGE, "pools[0].case", "Use case: onlink_route"),
        ("onlink_route", INSIDE, "pools[0].case", "Use case: same_subnet"),
        ("onlink_route", EXTERNAL, "pools[0].gateways", "onlink_route only adds a route to the link"),
        ("source_routing", STORAGE, "pools[0].gateways", "case onlink_route"),
        ("policy_routing", INSIDE, "pools[0].gateways", "there is no IPv4 gateway"),
    ],
)
def test_a_role_alone_refuses_a_pool_that_does_not_fit(
    node: Node, tmp_path: Path, role: str, pool: dict[str, Any], path: str, words: str
) -> None:
    before = snapshot(node)
    played = play_roles(node, tmp_path, [[role]], {f"{role}_pools": [dict(pool)]})
    assert played.code != 0
    assert path in played.text, played.text
    assert words in played.text, played.text
    assert_same(before, snapshot(node))


def test_a_role_alone_refuses_to_do_nothing(node: Node, tmp_path: Path) -> None:
    before = snapshot(node)
    played = play_roles(node, tmp_path, [["policy_routing"]], {"policy_routing_pools": []})
    assert played.code != 0
    assert "policy_routing_pools is empty" in played.text
    assert_same(before, snapshot(node))


def test_bad_input_through_a_playbook(node: Node, tmp_path: Path) -> None:
    before = snapshot(node)
    bad = {**SECOND, "networks": ["1.2.4.1/24"], "mark": "0x4000"}
    played = play_roles(node, tmp_path, [["node"]], {"metallb_routing_pools": [dict(EXTERNAL), bad]})
    assert played.code != 0
    for path in ("pools[1].networks[0]", "pools[1].mark"):
        assert f'"path": "{path}"' in played.text, played.text
    assert_same(before, snapshot(node))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"vlan": 100}, "pools[1].vlan (pool external): 100 is not a mapping"),
        ({"gateway": "1.2.3.1"}, "pools[1].gateway (pool external): there is no such option. Use gateways"),
        ({"networks": {}}, "pools[1].networks (pool external): "),
    ],
)
def test_a_mistake_of_shape_is_told_with_its_place_and_remedy(
    node: Node, tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    """Ansible's own check of arguments would know neither."""
    before = snapshot(node)
    played = play_roles(node, tmp_path, [["node"]], {"metallb_routing_pools": [dict(STORAGE), {**EXTERNAL, **wrong}]})
    assert played.code != 0
    assert words in played.text, played.text
    assert_same(before, snapshot(node))
