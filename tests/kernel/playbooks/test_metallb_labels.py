# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of nodes that are ready, and the L2Advertisements that require them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support.clusters import FakeCluster, metallb, node
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER

PREFIX = "metallb-routing.homeward/"
EXTERNAL = {"name": "external", "gateways": ["1.2.3.1"], "onlink_networks": ["1.2.3.0/24"], "interface": "eth0.100"}


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(2, prefix="homeward-labels") as made:
        yield made


def run(site: ManyNodes, playbook: str, cluster: FakeCluster, *options: str, **pool: Any) -> Played:
    values = {
        "metallb_routing_pools": [{**EXTERNAL, **pool}],
        "metallb_routing_metallb": {"cluster": True, "label_nodes": True, **cluster.options},
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": False,
        "metallb_routing_confirm_timeout": 0,
    }
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    return play(site, playbook, values, *options, hosts=json.dumps({"k8s_cluster": {"hosts": listed}}))


def changes(cluster: FakeCluster) -> list[list[str]]:
    """Return the calls of kubectl that change something."""
    return [call for call in cluster.calls() if call[0] != "get"]


def test_a_node_has_the_label_exactly_while_it_is_ready(site: ManyNodes, tmp_path: Path) -> None:
    selectors = [{"matchLabels": {f"{PREFIX}external": "eth0.100"}}]
    objects = [
        metallb("IPAddressPool", "external", addresses=["1.2.3.64/26"]),
        metallb("L2Advertisement", "external", interfaces=["eth0.100"], nodeSelectors=selectors),
        node("node1", "192.168.1.11", **{f"{PREFIX}external": "eth7", f"{PREFIX}former": "eth9"}),
        node("node2", "192.168.1.12"),
    ]
    cluster = FakeCluster(tmp_path, objects)
    played = run(site, "apply", cluster, "--check")
    assert played.code == 0, played.text
    assert changes(cluster) == []
    played = run(site, "apply", cluster)
    assert played.code == 0, played.text
    assert cluster.labels(PREFIX) == {"node1": {"external": "eth0.100"}, "node2": {"external": "eth0.100"}}
    stale, ready = changes(cluster)
    assert stale[:3] == ["label", "node", "node1"]
    assert {*stale[3:5]} == {f"{PREFIX}external-", f"{PREFIX}former-"}, "before the nodes are changed"
    assert ready[:4] == ["label", "node", "node1", "node2"]

    again = run(site, "apply", cluster)
    assert (again.changed(), len(changes(cluster))) == (0, 2), again.text

    played = run(site, "remove", cluster, "--limit", "node2")
    assert played.code == 0, played.text
    assert cluster.labels(PREFIX) == {"node1": {"external": "eth0.100"}, "node2": {}}


def test_the_printed_advertisements_are_those_that_are_applied(site: ManyNodes, tmp_path: Path) -> None:
    objects = [
        metallb("IPAddressPool", "external", addresses=["1.2.3.64/26"]),
        metallb("L2Advertisement", "everything"),
        node("node1", "192.168.1.11"),
        node("node2", "192.168.1.12"),
    ]
    cluster = FakeCluster(tmp_path, objects)
    played = run(site, "advertise", cluster)
    assert played.code == 0, played.text
    assert changes(cluster) == []
    printed = list(yaml.safe_load_all(played.text[played.text.index("---\n") :].split("[WARNING]")[0]))
    selectors = [{"matchLabels": {f"{PREFIX}external": "eth0.100"}}]
    spec = {"ipAddressPools": ["external"], "interfaces": ["eth0.100"], "nodeSelectors": selectors}
    assert printed == [metallb("L2Advertisement", "external", **spec)]
    assert "L2Advertisement everything (cluster[1]) also selects external" in played.text
    applied = run(site, "advertise", cluster, "-e", "metallb_routing_apply_advertisements=true")
    assert (applied.code, applied.changed()) == (0, 1), applied.text
    assert cluster.objects("L2Advertisement")["external"] == printed[0]
    again = run(site, "advertise", cluster, "-e", "metallb_routing_apply_advertisements=true")
    assert (again.code, again.changed()) == (0, 0), again.text


def test_a_node_that_is_not_configured_gets_no_label(site: ManyNodes, tmp_path: Path) -> None:
    """node2 lacks the link, from here on."""
    pool = metallb("IPAddressPool", "external", addresses=["1.2.3.64/26"])
    cluster = FakeCluster(tmp_path, [pool, node("node1", "192.168.1.11"), node("node2", "192.168.1.12")])
    site.host("node2").run("ip link delete eth0.100")
    played = run(site, "apply", cluster, "-e", "metallb_routing_serial=100%")
    assert played.counts["node2"]["failed"] == 1, played.text
    assert cluster.labels(PREFIX) == {"node1": {"external": "eth0.100"}, "node2": {}}
