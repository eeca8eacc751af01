# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools that take their networks from the variables of Kubespray and techno-tim/k3s-ansible."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER

POOL = {"interface": "eth0.100", "gateways": ["1.2.3.1"], "onlink_networks": ["1.2.3.0/24"]}
KUBESPRAY = {
    "address_pools": {"primary": {"ip_range": ["{{ external_range }}"]}, "pool1": {"ip_range": ["10.6.0.0/16"]}},
    "layer2": ["primary"],
    "layer3": {"metallb_peers": {"peer1": {"password": "{{ undefined_password }}", "address_pool": ["pool1"]}}},
}


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(1, prefix="homeward-variables") as made:
        yield made


def plan(site: ManyNodes, group: str, values: Mapping[str, Any], **pool: Any) -> Played:
    listed = json.loads(inventory.text(site))["nodes"]["hosts"]
    hosts = json.dumps({group: {"hosts": listed, "vars": values}})
    declared = {
        "metallb_routing_pools": [{**POOL, **pool}],
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": False,
    }
    return play(site, "plan", declared, hosts=hosts)


def test_variables_of_kubespray(site: ManyNodes) -> None:
    """Only what is needed is evaluated: the passwords of BGP peers are not."""
    values = {"metallb_config": KUBESPRAY, "external_range": "1.2.3.10-1.2.3.20"}
    played = plan(site, "k8s_cluster", values, name="primary")
    assert played.code == 0, played.text
    assert "1.2.3.16/30" in played.text, "a part of the range"
    warning = "pool pool1 of MetalLB (metallb_config.address_pools.pool1) is not in metallb_routing_pools"
    assert warning in " ".join(played.text.split()), "Ansible may wrap it"
    played = plan(site, "k8s_cluster", {"metallb_config": KUBESPRAY}, name="primary")
    assert played.code == 2
    assert "metallb_config: it cannot be evaluated: " in played.text
    assert "external_range" in played.text


def test_variables_of_techno_tim(site: ManyNodes) -> None:
    values = {"metal_lb_ip_range": "1.2.3.10-1.2.3.20", "metal_lb_mode": "layer2"}
    played = plan(site, "k3s_cluster", values, name="first-pool")
    assert played.code == 0, played.text
    assert "1.2.3.16/30" in played.text
    played = plan(site, "k3s_cluster", {**values, "metal_lb_ip_range": "1.2.3.10"}, name="first-pool")
    assert "metal_lb_ip_range[0]: 1.2.3.10 is neither a network nor a range" in played.text


def test_without_any_source_networks_are_required(site: ManyNodes) -> None:
    played = plan(site, "k8s_cluster", {}, name="primary", addresses=["1.2.3.64/26"], interfaces=["eth0.100"])
    assert played.code == 2
    for words in (
        "pools[0].networks (pool primary): the addresses that MetalLB assigns are missing",
        "metallb_routing_metallb",
        "Declare the addresses that MetalLB assigns as networks.",
        "pools[0].interfaces (pool primary): there is no such option. Use interface.",
    ):
        assert words in played.text
