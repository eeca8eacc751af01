# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every supported version of ansible-core must do; tools/matrix.py runs this file with each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play, variables

POOL = {"networks": ["1.2.3.66-1.2.3.78"], "onlink_networks": ["1.2.3.0/24"], "gateways": ["1.2.3.1"]}
VALUES = {**variables(**POOL), "metallb_routing_persist": False}


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(2, prefix="homeward-versions") as made:
        yield made


def hosts(site: ManyNodes) -> str:
    """Return an inventory in the layout of Kubespray, of which node2 does not tell its address."""
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    del listed["node2"]["ansible_host"], listed["node2"]["ip6"]
    groups = {
        "kube_control_plane": {"hosts": {"node1": listed["node1"]}},
        "kube_node": {"hosts": {"node2": listed["node2"]}},
    }
    return json.dumps(groups)


def run(site: ManyNodes, playbook: str, *options: str) -> Played:
    return play(site, playbook, VALUES, *options, hosts=hosts(site), settings={"ANSIBLE_DEPRECATION_WARNINGS": "1"})


def test_plan_apply_again_and_remove(site: ManyNodes) -> None:
    before = [node.snapshot() for node in site.nodes]
    try:
        planned = run(site, "plan", "-e", "metallb_routing_fail_on_drift=true", "--diff")
        assert planned.code == 2, planned.text
        assert planned.changed() == 0
        assert re.search(r"^node1, node2 +external +policy_routing +eth0.100 +\+\d+ -0$", planned.text, re.MULTILINE)
        assert "node1, node2: not configured as declared" in " ".join(planned.text.split())
        assert "node2: 192.168.1.12 (from the node)" in planned.text
        assert "node1, node2: cluster.kube_proxy_mode: kube-proxy was not detected" in " ".join(planned.text.split())
        assert planned.text.count("kube-proxy was not detected") == 1
        assert [old.difference(node.snapshot()) for old, node in zip(before, site.nodes, strict=True)] == [""] * 2
        applied = run(site, "apply", "-e", "metallb_routing_hosts=k8s_cluster")
        assert applied.code == 0, applied.text
        assert applied.changed() == 2
        assert re.search(r"^node1, node2 +external +policy_routing +eth0.100 +\+\d+ -0$", applied.text, re.MULTILINE)
        again = run(site, "apply")
        assert (again.code, again.changed()) == (0, 0), again.text
        assert re.search(r"^node1, node2 +external +policy_routing +eth0.100 +none$", again.text, re.MULTILINE)
        planned = run(site, "plan", "-e", "metallb_routing_fail_on_drift=true")
        assert planned.code == 0, planned.text
        assert "does not support Ansible version" not in planned.text
        assert "DEPRECATION" not in "\n".join((planned.text, applied.text, again.text))
    finally:
        removed = run(site, "remove")
    assert removed.code == 0, removed.text
    assert [old.difference(node.snapshot()) for old, node in zip(before, site.nodes, strict=True)] == [""] * 2


def test_an_invalid_pool_is_refused_with_its_path(site: ManyNodes) -> None:
    values = {**VALUES, "metallb_routing_pools": [{**VALUES["metallb_routing_pools"][0], "gateways": ["1.2.4.1"]}]}
    played = play(site, "apply", values, hosts=hosts(site))
    assert played.code == 2
    words = " ".join(played.text.split())
    assert "pools[0].gateways[0] (pool external): " in words
    assert "The run ends here. The node that follows stays as it is." in words
