# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are the nodes of the cluster, in the inventories of Kubespray, k3s-ansible and RKE2."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import (
    default_groups,
    one_of_each_group,
    resolve,
)

N = [f"node{number}" for number in range(6)]
KUBESPRAY = {"all": N, "kube_control_plane": N[:2], "etcd": N[:2], "kube_node": N[2:5]}
OLDER = {**KUBESPRAY, "calico_rr": [], "k8s_cluster": N[:5]}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (KUBESPRAY, ["kube_control_plane", "kube_node"]),
        ({**KUBESPRAY, "calico_rr": [N[5]]}, ["kube_control_plane", "kube_node", "calico_rr"]),
        (OLDER, ["k8s_cluster"]),
        ({**KUBESPRAY, "k8s_cluster": [N[2]]}, ["k8s_cluster", "kube_control_plane", "kube_node"]),  # made with --limit
        ({"all": N, "kube_control_plane": N, "kube_node": []}, ["kube_control_plane"]),
        ({"all": N, "k3s_cluster": N, "server": N[:1], "agent": N[1:]}, ["k3s_cluster"]),
        ({"all": N, "k8s_cluster": N, "masters": N[:1], "workers": N[1:]}, ["k8s_cluster"]),
        ({"all": N, "rke2_cluster": N, "rke2_servers": N[:1], "rke2_agents": N[1:]}, ["rke2_cluster"]),
        ({"all": N, "rke2_servers": N[:1], "rke2_agents": N[1:]}, ["rke2_servers", "rke2_agents"]),
        ({"all": N, "k8s_cluster": [], "k3s_cluster": N}, ["k3s_cluster"]),
        ({"all": N, "nodes": N}, []),
    ],
)
def test_the_first_known_group_with_hosts_counts(groups: dict[str, list[str]], expected: list[str]) -> None:
    assert default_groups(groups) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, N[:5]),
        ("k8s_cluster", N[:5]),
        (["k8s_cluster"], N[:5]),
        (["kube_node", "etcd"], N[:5]),
        ("kube_node", N[2:5]),
    ],
)
def test_the_group_of_kubespray_need_not_exist(pattern: Any, expected: list[str]) -> None:
    assert sorted(resolve(pattern, KUBESPRAY, KUBESPRAY["all"])) == expected


def test_a_group_that_a_limited_run_made_lacks_no_node() -> None:
    groups = {**KUBESPRAY, "k8s_cluster": ["node3"]}
    assert sorted(resolve(None, groups, [])) == sorted(resolve("k8s_cluster", groups, [])) == N[:5]


@pytest.mark.parametrize(
    ("pattern", "groups", "message"),
    [
        ("etcd", {**KUBESPRAY, "etcd": []}, "metallb_routing_hosts: etcd matches no host of the inventory"),
        (None, {"all": [], "ungrouped": []}, "inventory: it has no hosts. Pass the inventory of the cluster: -i PATH."),
        (7, KUBESPRAY, "metallb_routing_hosts: 7 is not a pattern of hosts"),
    ],
)
def test_a_run_without_hosts_is_refused(pattern: Any, groups: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        resolve(pattern, groups, groups["all"])


def test_one_host_of_each_group_makes_the_group_of_all() -> None:
    assert one_of_each_group(N, KUBESPRAY) == ["node0", "node2"]
    assert one_of_each_group(["node3", "node4"], KUBESPRAY) == ["node3"]
    assert one_of_each_group(["node4"], {"all": N}) == ["node4"]
