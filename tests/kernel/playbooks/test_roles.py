# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles, run by ``ansible-playbook``: two do not purge each other, and bad input is refused with its path and remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.snapshot import Snapshot, assert_same
from tests.support.node import Node
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER, EXTERNAL, INSIDE, NODE_ADDRESSES, SECOND, STORAGE, declared
from tests.support.snapshots import without_lines

ROLE = "homeward.metallb_routing."


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as made:
        yield made


def snapshot(node: Node) -> Snapshot:
    """Return a snapshot without the tables of pyroute2 that a run with Ansible keeps."""
    found = node.snapshot()
    return found.replaced(files=without_lines(found["files"], "^/var/lib/homeward.metallb_routing/netlink.json"))


def play_roles(node: Node, folder: Path, plays: Sequence[Sequence[str]], values: dict[str, Any]) -> Played:
    """Run plays of roles, with the variables in group_vars."""
    (folder / "group_vars").mkdir(exist_ok=True)
    cluster = {**CLUSTER, "node_addresses": list(NODE_ADDRESSES)}
    (folder / "group_vars/all.json").write_text(json.dumps({"metallb_routing_cluster": cluster, **values}))
    book = [{"hosts": "all", "gather_facts": False, "roles": [f"{ROLE}{role}" for role in roles]} for roles in plays]
    (folder / "site.yml").write_text(json.dumps(book))
    return play(node, str(folder / "site.yml"), {})


def test_two_roles_do_not_purge_each_other(node: Node, tmp_path: Path) -> None:
    before = snapshot(node)
    values = {"onlink_route_pools": [dict(STORAGE)], "policy_routing_pools": [dict(EXTERNAL)]}
    played = play_roles(node, tmp_path, [["onlink_route"], ["policy_routing"], ["onlink_route"]], values)
    assert played.code == 0, played.text
    assert played.changed() == 1, "the first role applies the pools of both"
    together = snapshot(node)
    assert '"10.9.8.0/24"' in together["routes4"]
    assert '"1.2.3.0/24"' in together["routes4"]
    node.change("pool_routing", {"state": "absent"})
    assert_same(before, snapshot(node))
    node.change("pool_routing", declared({**EXTERNAL, "case": "policy_routing"}, {**STORAGE, "case": "onlink_route"}))
    assert_same(together, snapshot(node), "routes4", "routes6", "rules4", "rules6", "sysctls")
    node.change("pool_routing", {"state": "absent"})


#: role, pools, words of the message. Ansible's own check of arguments would not name paths and remedies.
BAD: list[tuple[str, list[Mapping[str, Any]], tuple[str, ...]]] = [
    ("same_subnet", [STORAGE], ("same_subnet_pools[0].case", "Use case: onlink_route")),
    ("onlink_route", [INSIDE], ("onlink_route_pools[0].case", "Use case: same_subnet")),
    ("onlink_route", [EXTERNAL], ("pools[0].gateways", "onlink_route only adds a route to the link")),
    ("source_routing", [STORAGE], ("pools[0].gateways", "case onlink_route")),
    ("policy_routing", [INSIDE], ("policy_routing_pools[0].gateways", "there is no IPv4 gateway")),
    ("policy_routing", [], ("policy_routing_pools: the list is empty", "homeward.metallb_routing.remove")),
    (
        "node",
        [EXTERNAL, {**SECOND, "networks": ["1.2.4.1/24"], "mark": "0x4000"}],
        ('"path": "metallb_routing_pools[1].networks[0]"', '"path": "metallb_routing_pools[1].mark"'),
    ),
    (
        "node",
        [STORAGE, {**EXTERNAL, "vlan": 100}],
        ("metallb_routing_pools[1].vlan (pool external): 100 is not a mapping",),
    ),
    ("node", [STORAGE, {**EXTERNAL, "gateway": "1.2.3.1"}], ("pools[1].gateway (pool external): there is no such",)),
    ("node", [STORAGE, {**EXTERNAL, "networks": {}}], ("pools[1].networks (pool external): ",)),
]


@pytest.mark.parametrize(("role", "pools", "words"), BAD, ids=[f"{row[0]} {row[2][0]}" for row in BAD])
def test_bad_input_is_refused(
    node: Node, tmp_path: Path, role: str, pools: list[Mapping[str, Any]], words: tuple[str, ...]
) -> None:
    before = snapshot(node)
    prefix = "metallb_routing" if role == "node" else role
    played = play_roles(node, tmp_path, [[role]], {f"{prefix}_pools": [dict(pool) for pool in pools]})
    assert played.code != 0
    assert [word for word in words if word not in played.text] == [], played.text
    assert_same(before, snapshot(node))
