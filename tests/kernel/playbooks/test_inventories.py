# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented commands with inventories in the layouts of Kubespray, k3s-ansible (both) and lablabs.rke2.

The layouts are those of the projects' own sample inventories, with the lab's nodes: node1 is in the control plane.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play

ADDRESSES = [f"192.168.1.{last}" for last in (11, 12, 13)]
POOLS = {
    "metallb_routing_pools": [
        {
            "name": "external",
            "networks": ["1.2.3.66-1.2.3.78"],
            "onlink_networks": ["1.2.3.0/24"],
            "interface": "eth0.100",
            "gateways": ["1.2.3.1"],
        }
    ],
    "metallb_routing_persist": False,
}
KUBESPRAY = """[kube_control_plane]
node1 ip={0}

[etcd:children]
kube_control_plane

[kube_node]
node2 ip={1}
node3 ip={2}
"""
# kubespray/inventory/sample/group_vars/k8s_cluster/k8s-cluster.yml
KUBESPRAY_CLUSTER = {
    "kube_service_addresses": "10.233.0.0/18",
    "kube_pods_subnet": "10.233.64.0/18",
    "kube_service_addresses_ipv6": "fd85:ee78:d8a6:8607::1000/116",
    "kube_pods_subnet_ipv6": "fd85:ee78:d8a6:8607::1:0000/112",
    "kube_proxy_mode": "ipvs",
}
NETWORKS = ("10.233.64.0/18", "10.233.0.0/18")


@dataclass(frozen=True)
class Layout:
    """An inventory.

    :param text: of the inventory file, with the addresses of the nodes as {0} to {2}.
    :param group_vars: by group.
    :param pools_in: the group whose variables declare the pools.
    :param by_address: whether hosts are named by their addresses.
    :param networks: of pods and services that the variables contain.
    """

    text: str
    group_vars: Mapping[str, Mapping[str, Any]]
    pools_in: str
    networks: tuple[str, ...] = ()
    by_address: bool = False
    name: str = field(default="inventory.ini")


LAYOUTS = {
    "kubespray since v2.27": Layout(KUBESPRAY, {"k8s_cluster": KUBESPRAY_CLUSTER}, "k8s_cluster", NETWORKS),
    "kubespray up to v2.26": Layout(
        "[all]\nnode1 ip={0}\nnode2 ip={1}\nnode3 ip={2}\n[kube_control_plane]\nnode1\n[etcd]\nnode1\n[kube_node]\nnode2\nnode3\n"
        "[calico_rr]\n[k8s_cluster:children]\nkube_control_plane\nkube_node\ncalico_rr\n",
        {"k8s_cluster": KUBESPRAY_CLUSTER},
        "k8s_cluster",
        NETWORKS,
    ),
    "k3s-io/k3s-ansible": Layout(
        "k3s_cluster:\n  children:\n    server:\n      hosts:\n        {0}:\n    agent:\n      hosts:\n        {1}:\n        {2}:\n"
        "  vars:\n    token: changeme\n    api_endpoint: \"{{{{ groups['server'][0] }}}}\"\n"
        "    extra_server_args: --cluster-cidr=10.50.0.0/16 --service-cidr=10.60.0.0/16\n",
        {},
        "k3s_cluster",
        ("10.50.0.0/16", "10.60.0.0/16"),
        by_address=True,
        name="inventory.yml",
    ),
    "techno-tim/k3s-ansible": Layout(
        "[master]\n{0}\n\n[node]\n{1}\n{2}\n\n[k3s_cluster:children]\nmaster\nnode\n",
        {
            "all": {
                "flannel_iface": "eth0",
                "cluster_cidr": "10.52.0.0/16",
                "k3s_node_ip": "{{ ansible_facts[(calico_iface | default(flannel_iface))]['ipv4']['address'] }}",
                "extra_args": "--flannel-iface={{ flannel_iface }} --node-ip={{ k3s_node_ip }}",
                "extra_server_args": "{{ extra_args }} --disable servicelb",
                "metal_lb_ip_range": "192.168.30.80-192.168.30.90",
            }
        },
        "all",
        by_address=True,
    ),
    "lablabs.rke2": Layout(
        "[masters]\nnode1 ansible_host={0}\n\n[workers]\nnode2 ansible_host={1}\nnode3 ansible_host={2}\n\n"
        "[k8s_cluster:children]\nmasters\nworkers\n",
        {"k8s_cluster": {"rke2_cluster_cidr": ["10.42.0.0/16"], "rke2_service_cidr": ["10.43.0.0/16"]}},
        "k8s_cluster",
        ("10.42.0.0/16", "10.43.0.0/16"),
    ),
    "rke2 groups": Layout(
        "[rke2_servers]\nnode1 ansible_host={0}\n[rke2_agents]\nnode2 ansible_host={1}\nnode3 ansible_host={2}\n"
        "[rke2_cluster:children]\nrke2_servers\nrke2_agents\n",
        {},
        "rke2_cluster",
    ),
}


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(3, prefix="homeward-inventories") as made:
        yield made


def written(site: ManyNodes, folder: Path, layout: Layout, pools: Mapping[str, Any] = POOLS) -> Path:
    """Write the inventory with a host outside the cluster and the lab's connections; return its path."""
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    connections = [
        {name: value for name, value in variables.items() if name not in ("ansible_host", "ip6")}
        for variables in listed.values()
    ]
    bastion = "bastion:\n  hosts: {{bastion: }}\n" if layout.name.endswith("yml") else "[bastion]\nbastion\n"
    (folder / layout.name).write_text((layout.text + bastion).format(*ADDRESSES))
    group_vars = {**layout.group_vars}
    group_vars[layout.pools_in] = {**group_vars.get(layout.pools_in, {}), **pools}
    hosts = ADDRESSES if layout.by_address else ["node1", "node2", "node3"]
    for kind, values in (("group_vars", group_vars), ("host_vars", dict(zip(hosts, connections, strict=True)))):
        for name, content in values.items():
            (folder / kind / name).mkdir(parents=True, exist_ok=True)
            (folder / kind / name / "main.yml").write_text(json.dumps(content))
    return folder / layout.name


def run(path: Path, playbook: str, *options: str) -> Played:
    return play(None, playbook, {}, *options, inventory_path=path)


def nodes_of(played: Played) -> list[str]:
    return sorted(played.counts)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_nodes_and_the_networks_are_found(site: ManyNodes, tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    planned = run(written(site, tmp_path, layout), "plan")
    assert planned.code == 0, planned.text
    assert nodes_of(planned) == (ADDRESSES if layout.by_address else ["node1", "node2", "node3"])
    assert [net for net in layout.networks if f"-s {net} -j DROP" not in planned.text] == []
    assert "external: 1.2.3.66-1.2.3.78" in planned.text, "the range as it was written"
    words = " ".join(planned.text.split())
    assert ("cluster.pod_networks: not declared" in words) == (not layout.networks)
    if "techno-tim" in name:
        assert "extra_server_args cannot be evaluated: " in words


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_documented_commands_work(site: ManyNodes, tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    path = written(site, tmp_path, layout)
    hosts = ADDRESSES if layout.by_address else ["node1", "node2", "node3"]
    try:
        applied = run(path, "apply", *(["-e", "metallb_routing_hosts=k8s_cluster"] if "kubespray" in name else []))
        assert applied.code == 0, applied.text
        assert {host: counts["changed"] for host, counts in applied.counts.items()} == dict.fromkeys(hosts, 1)
        assert run(path, "apply").changed() == 0
    finally:
        assert run(path, "remove").code == 0


def dropped(played: Played) -> list[str]:
    """Return the node addresses in the difference, as the guard groups them."""
    return sorted(set(re.findall(r"-s (192\.168\.1\.\S+) -j DROP", played.text)))


HOSTS = ("-e", "metallb_routing_hosts=k8s_cluster")


@pytest.mark.parametrize(("limit", "hosts"), [("node1", ()), ("localhost,node3", HOSTS), ("kube_node", HOSTS)])
def test_limit_keeps_the_addresses_of_the_other_nodes(
    site: ManyNodes, tmp_path: Path, limit: str, hosts: tuple[str, ...]
) -> None:
    path = written(site, tmp_path, LAYOUTS["kubespray since v2.27"])
    everywhere = run(path, "plan")
    limited = run(path, "plan", "--limit", limit, *hosts)
    assert limited.code == 0, limited.text
    assert nodes_of(limited) == (["node2", "node3"] if limit == "kube_node" else [limit.rpartition(",")[2]])
    assert dropped(limited) == dropped(everywhere) != []
    assert f"-s {NETWORKS[0]} -j DROP" in limited.text, "group_vars/k8s_cluster is read"


def test_one_run_with_the_playbook_that_sets_up_the_cluster(site: ManyNodes, tmp_path: Path) -> None:
    """Kubespray's own plays make the group k8s_cluster first, only for the hosts of the run."""
    path = written(site, tmp_path, LAYOUTS["kubespray since v2.27"])
    cluster = [
        {
            "hosts": "all:!bastion",
            "gather_facts": False,
            "tasks": [
                {
                    "ansible.builtin.group_by": {"key": "k8s_cluster"},
                    "when": "group_names | intersect(['kube_node', 'kube_control_plane', 'calico_rr']) | length > 0",
                }
            ],
        }
    ]
    (tmp_path / "cluster.yml").write_text(json.dumps(cluster))
    name = "homeward.metallb_routing.plan"
    (tmp_path / "site.yml").write_text(json.dumps([{"import_playbook": "cluster.yml"}, {"import_playbook": name}]))
    everywhere = run(path, str(tmp_path / "site.yml"))
    assert everywhere.code == 0, everywhere.text
    assert "external: 1.2.3.66-1.2.3.78" in everywhere.text
    limited = run(path, str(tmp_path / "site.yml"), "--limit", "node2")
    assert nodes_of(limited) == ["node2"]
    assert dropped(limited) == dropped(everywhere) != []


@pytest.mark.parametrize("playbook", ["plan", "apply", "remove"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--limit", "bastion"), "--limit: bastion matches none of the hosts of kube_control_plane and kube_node"),
        (("-e", "metallb_routing_hosts=nodes"), "metallb_routing_hosts: nodes matches no host of the inventory"),
    ],
)
def test_a_run_without_hosts_fails(
    site: ManyNodes, tmp_path: Path, playbook: str, options: tuple[str, ...], message: str
) -> None:
    played = run(written(site, tmp_path, LAYOUTS["kubespray since v2.27"]), playbook, *options)
    assert played.code != 0
    assert message in " ".join(played.text.split())


@pytest.mark.parametrize("playbook", ["plan", "apply"])
def test_a_run_without_pools_fails(site: ManyNodes, tmp_path: Path, playbook: str) -> None:
    played = run(written(site, tmp_path, LAYOUTS["rke2 groups"], {}), playbook)
    assert played.code != 0
    words = " ".join(played.text.split())
    assert (
        "metallb_routing_pools: no pool is declared for any of the 3 hosts. Declare the pools in group variables"
        in words
    )


def test_nodes_without_pools_are_skipped_and_come_last(site: ManyNodes, tmp_path: Path) -> None:
    """The first batch is a node with pools, although the inventory begins with one that has none."""
    layout = LAYOUTS["kubespray since v2.27"]
    path = written(site, tmp_path, Layout(layout.text, layout.group_vars, "kube_node"))
    try:
        played = run(path, "apply")
        assert played.code == 0, played.text
        assert re.search(r"^node1 +- +no pools, skipped", played.text, re.MULTILINE)
        assert re.search(r"^node2, node3 +external +policy_routing", played.text, re.MULTILINE)
        batches = played.text.split("PLAY [Route replies from MetalLB addresses")[1:]
        assert [sorted(set(re.findall(r"\[(node\d)\]", batch.split("PLAY [")[0]))) for batch in batches] == [
            ["node2"],
            ["node1", "node3"],
        ]
    finally:
        assert run(path, "remove").code == 0


def test_the_playbooks_have_tags(site: ManyNodes, tmp_path: Path) -> None:
    path = written(site, tmp_path, LAYOUTS["lablabs.rke2"])
    names = [{"import_playbook": f"homeward.metallb_routing.{name}"} for name in ("apply", "plan")]
    (tmp_path / "site.yml").write_text(json.dumps(names))
    played = run(path, str(tmp_path / "site.yml"), "--tags", "plan")
    assert played.code == 0, played.text
    assert played.changed() == 0
    assert "Commands that apply would run" in played.text
