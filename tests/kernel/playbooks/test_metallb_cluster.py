# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MetalLB's resources from the cluster, asked once with kubectl or kubernetes.core."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support.clusters import FakeCluster, metallb, node
from tests.support.playbooks import Played, environment, play
from tests.support.pools import CLUSTER

NODES = ("node1", "node2", "node3")
POOL = metallb("IPAddressPool", "external", addresses=["1.2.3.64/26"])
DECLARED = {"name": "external", "gateways": ["1.2.3.1"], "onlink_networks": ["1.2.3.0/24"]}
ASK = "homeward.metallb_routing.node : Ask the cluster for MetalLB's resources]"


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(3, prefix="homeward-metallb") as made:
        yield made


def advertisement(**spec: Any) -> dict[str, Any]:
    return metallb("L2Advertisement", "edge", **{"interfaces": ["eth0.100"], **spec})


def hosts(site: ManyNodes) -> str:
    """Return an inventory of Kubespray with names that the cluster does not know, and the nodes' addresses."""
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    entries = {
        f"host{index}": {**told, "ip": told["ansible_host"]} for index, told in enumerate(listed.values(), start=1)
    }
    return json.dumps({"kube_control_plane": {"hosts": {"host2": {}}}, "kube_node": {"hosts": entries}})


def run(site: ManyNodes, playbook: str, cluster: FakeCluster, *options: str, **more: Any) -> Played:
    values = {
        "metallb_routing_pools": [DECLARED],
        "metallb_routing_metallb": {"cluster": True, **cluster.options},
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": False,
        **more,
    }
    return play(site, playbook, values, *options, hosts=hosts(site))


def nodes(**labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [node(name, f"192.168.1.{11 + index}", **labels.get(name, {})) for index, name in enumerate(NODES)]


def test_one_host_of_the_control_plane_answers_for_all(site: ManyNodes, tmp_path: Path) -> None:
    selectors = [{"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["core"]}]}]
    objects = [POOL, advertisement(nodeSelectors=selectors), *nodes(node1={"zone": "edge"}, node3={"zone": "core"})]
    cluster = FakeCluster(tmp_path, [*objects, node("node9", "192.168.1.99")])
    played = run(site, "plan", cluster)
    assert played.code == 0, played.text
    assert played.text.split(ASK)[1].split("\n")[1] == "ok: [host2]"
    assert [call[0] for call in cluster.calls()] == ["get", "get"], "once, and nothing is written"
    assert "1.2.3.64/26" in played.text
    assert played.counts["host3"]["skipped"] == 1
    assert "can announce it from node9, nodes of the cluster that are not hosts of this run" in played.text


def test_a_limit_may_exclude_the_control_plane(site: ManyNodes, tmp_path: Path) -> None:
    played = run(site, "plan", FakeCluster(tmp_path, [POOL, advertisement(), *nodes()]), "--limit", "host1")
    assert played.code == 0, played.text
    assert played.text.split(ASK)[1].split("\n")[1] == "ok: [host1 -> host2]"
    assert "1.2.3.64/26" in played.text


def test_nothing_is_asked_unless_it_is_required(site: ManyNodes, tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path, [POOL])
    pools = [{**DECLARED, "networks": ["1.2.3.64/26"], "interface": "eth0.100"}]
    played = run(site, "plan", cluster, metallb_routing_pools=pools, metallb_routing_metallb={})
    assert played.code == 0, played.text
    assert ASK not in played.text
    played = run(site, "remove", cluster)
    assert played.code == 0, played.text
    assert cluster.calls() == []


@pytest.mark.parametrize(
    ("installed", "changes", "reason"),
    [
        (False, {}, """the server doesn't have a resource type "ipaddresspools". MetalLB is not installed"""),
        (True, {"kubectl": "/nowhere/kubectl"}, "/nowhere/kubectl: not found"),
    ],
)
def test_a_cluster_that_does_not_answer_ends_the_run(
    site: ManyNodes, tmp_path: Path, installed: bool, changes: dict[str, str], reason: str
) -> None:
    cluster = FakeCluster(tmp_path, [POOL, *nodes()], installed=installed)
    sources = {"cluster": True, **cluster.options, **changes}
    played = run(site, "apply", cluster, metallb_routing_metallb=sources)
    assert played.code == 2, played.text
    assert "The cluster cannot be asked: " in played.text
    assert reason in played.text.replace('\\"', '"')
    assert list(played.counts) == ["host2"], "once, not for each node"
    assert "Configure" not in played.text


K8S_INFO = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
import json

def main():
    names = {name: {"type": "str"} for name in ("kind", "api_version", "namespace", "kubeconfig")}
    module = AnsibleModule(names, supports_check_mode=True)
    with open("STATE") as file:
        objects = [one for one in json.load(file) if one["kind"] == module.params["kind"]]
    if module.params["kubeconfig"]:
        module.fail_json(msg="Failed to import the required Python library (kubernetes)")
    module.exit_json(changed=False, api_found=True, resources=objects)

main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", [True, False], ids=["library", "no library"])
def test_kubernetes_core_is_used_if_it_works(site: ManyNodes, tmp_path: Path, library: bool) -> None:
    """The substitute of k8s_info answers as the module does, and fails as it does without the Python library."""
    cluster = FakeCluster(tmp_path, [POOL, advertisement(), *nodes()])
    folder = tmp_path / "collections/ansible_collections/kubernetes/core/plugins/modules"
    folder.mkdir(parents=True)
    (folder / "k8s_info.py").write_text(K8S_INFO.replace("STATE", str(cluster.file)))
    (folder.parents[1] / "galaxy.yml").write_text("namespace: kubernetes\nname: core\nversion: 5.0.0\n")
    home = tmp_path / "home"
    home.mkdir()
    kubectl = home / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {cluster.options["kubectl"]} "$@"\n')
    kubectl.chmod(0o755)
    sources = {"cluster": True, **({} if library else {"kubeconfig": cluster.options["kubeconfig"]})}
    collections = f"{environment()['ANSIBLE_COLLECTIONS_PATH']}:{tmp_path}/collections"
    settings = {"ANSIBLE_COLLECTIONS_PATH": collections, "PATH": f"{home}:{environment()['PATH']}"}
    values = {
        "metallb_routing_pools": [DECLARED],
        "metallb_routing_metallb": sources,
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": False,
    }
    played = play(site, "plan", values, hosts=hosts(site), settings=settings)
    assert played.code == 0, played.text
    assert "1.2.3.64/26" in played.text
    assert bool(cluster.calls()) == (not library)
