# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and proxy mode from the variables of Kubespray, k3s-ansible and lablabs.rke2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_variables import Found, find

KUBESPRAY = {
    "kube_service_addresses": "10.233.0.0/18",
    "kube_pods_subnet": "10.233.64.0/18",
    "kube_service_addresses_ipv6": "fd85:ee78:d8a6:8607::1000/116",
    "kube_pods_subnet_ipv6": "fd85:ee78:d8a6:8607::1:0000/112",
    "kube_proxy_mode": "ipvs",
}
TECHNO_TIM = {"cluster_cidr": "10.52.0.0/16", "extra_server_args": "--tls-san 192.168.30.222\n--disable servicelb\n"}
ARGUMENTS = "--disable servicelb --cluster-cidr=10.1.0.0/16,fd01::/56 --service-cidr 10.2.0.0/16 --kube-proxy-arg=proxy-mode=ipvs"


def found(variables: Mapping[str, Any], **declared: Any) -> Found:
    return find(declared, variables.get)


@pytest.mark.parametrize(
    ("variables", "pods", "services", "mode"),
    [
        (KUBESPRAY, ["10.233.64.0/18"], ["10.233.0.0/18"], "ipvs"),
        (
            {**KUBESPRAY, "ipv6_stack": True},
            ["10.233.64.0/18", "fd85:ee78:d8a6:8607::1:0000/112"],
            ["10.233.0.0/18", "fd85:ee78:d8a6:8607::1000/116"],
            "ipvs",
        ),
        (
            {**KUBESPRAY, "enable_dual_stack_networks": "true", "ipv4_stack": False},
            ["fd85:ee78:d8a6:8607::1:0000/112"],
            ["fd85:ee78:d8a6:8607::1000/116"],
            "ipvs",
        ),
        ({**KUBESPRAY, "kube_proxy_remove": True}, ["10.233.64.0/18"], ["10.233.0.0/18"], None),
        ({**KUBESPRAY, "kube_proxy_mode": "none"}, ["10.233.64.0/18"], ["10.233.0.0/18"], None),
        (
            {
                "rke2_cluster_cidr": ["10.42.0.0/16"],
                "rke2_service_cidr": ["10.43.0.0/16"],
                "rke2_kube_proxy_arg": ["proxy-mode=ipvs"],
            },
            ["10.42.0.0/16"],
            ["10.43.0.0/16"],
            "ipvs",
        ),
        ({"extra_server_args": ARGUMENTS}, ["10.1.0.0/16", "fd01::/56"], ["10.2.0.0/16"], "ipvs"),
        (
            {"server_config_yaml": "cluster-cidr: 10.1.0.0/16\nservice-cidr: [10.2.0.0/16]\n"},
            ["10.1.0.0/16"],
            ["10.2.0.0/16"],
            None,
        ),
        ({"server_config_yaml": "a: [", "rke2_cluster_cidr": None}, None, None, None),
        (TECHNO_TIM, None, None, None),  # flannel does not use cluster_cidr
        ({**TECHNO_TIM, "calico_iface": "eth0"}, ["10.52.0.0/16"], None, None),
        ({"metal_lb_ip_range": "192.168.30.80-192.168.30.90"}, None, None, None),
    ],
)
def test_variables_of_the_tools_are_used(variables: dict[str, Any], pods: Any, services: Any, mode: Any) -> None:
    options = found(variables).options
    assert [options.get(name) for name in ("pod_networks", "service_networks", "kube_proxy_mode")] == [
        pods,
        services,
        mode,
    ]


def test_what_is_declared_counts_first() -> None:
    declared = {"pod_networks": ["10.1.0.0/16"], "kube_proxy_mode": "iptables"}
    assert found(KUBESPRAY, **declared).options == {"service_networks": ["10.233.0.0/18"]}
    assert found(KUBESPRAY, pod_networks=[], kube_proxy_mode="auto").options.keys() == found(KUBESPRAY).options.keys()


def test_the_variables_are_named() -> None:
    assert found({**KUBESPRAY, "ipv6_stack": True}).sources["pod_networks"] == "kube_pods_subnet, kube_pods_subnet_ipv6"


def test_a_variable_that_cannot_be_evaluated_is_named() -> None:
    def get(name: str) -> Any:
        if name == "extra_server_args":
            raise ValueError("'dict object' has no attribute 'eth0'.\nmore")
        return None

    assert find({}, get).problems == {"extra_server_args": "'dict object' has no attribute 'eth0'"}
