# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that do not forward packets: a warning with the setting and the remedy."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster, Pool
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Route
from tests.unit.nodes import cluster_node, declaration, pool, vlan

BOTH = pool(networks=("1.2.3.0/24", "fd00:1:2:3::/64"), gateways=("1.2.3.1", "fd00:1:2:3::1"))


def warned(one: Pool, *off: tuple[str, str], forced: str = "0") -> list[str]:
    """Return path and setting of each warning."""
    node = cluster_node(not_forwarding=frozenset(off))
    pods = Route("ipv4", 254, "10.112.1.0/24", interface="cni0")
    sysctls = {**node.sysctls, "net/ipv6/conf/eth0.100/force_forwarding": forced}
    node = replace(node, foreign_routes=node.foreign_routes | {pods}, sysctls=sysctls)
    texts = [text for text in compile_node(declaration(one), node).warnings if "does not forward" in text]
    for text in texts:
        setting = text.split()[1]
        assert f"sysctl -w {setting}=1" in text
    return [" ".join(text.split()[:2]) for text in texts]


def test_a_link_that_forwards_is_no_warning() -> None:
    assert warned(BOTH, ("ipv4", "eth7"), ("ipv6", "eth0.100"), ("ipv6", "default"), ("ipv4", "default")) == []


def test_the_link_of_the_pool() -> None:
    assert warned(BOTH, ("ipv4", "eth0.100")) == ["pools[0].interface: net/ipv4/conf/eth0.100/forwarding"]
    assert warned(pool(networks=("fd00:1::/64",), gateways=("fd00:1::1",)), ("ipv4", "eth0.100")) == []
    onlink = pool(networks=("10.9.8.0/28",), gateways=(), interface="eth1")
    assert warned(onlink, ("ipv4", "eth1")) == ["pools[0].interface: net/ipv4/conf/eth1/forwarding"]


def test_a_link_that_is_created_gets_the_value_of_default() -> None:
    new = pool(interface="eth0.7", vlan=vlan("eth0", 7))
    assert warned(new, ("ipv4", "default")) == ["pools[0].interface: net/ipv4/conf/default/forwarding"]


def test_forwarding_is_off_altogether() -> None:
    names = ("all", "default", "eth0", "eth0.100", "cni0")
    assert warned(BOTH, *(("ipv4", name) for name in names)) == ["pools[0].interface: net/ipv4/ip_forward"]


def test_the_setting_of_the_link_decides() -> None:
    assert warned(BOTH, ("ipv4", "all"), ("ipv4", "default"), ("ipv4", "eth0")) == []


def test_ipv6_depends_on_all() -> None:
    assert warned(BOTH, ("ipv6", "all")) == ["pools[0].networks: net/ipv6/conf/all/forwarding"]
    assert warned(BOTH, ("ipv6", "all"), forced="1") == []
    assert warned(pool(), ("ipv6", "all")) == []


def test_the_links_of_endpoints() -> None:
    assert warned(BOTH, ("ipv4", "cni0")) == ["pools[0].interface: net/ipv4/conf/cni0/forwarding"]
    assert warned(BOTH, ("ipv4", "eth0")) == ["pools[0].interface: net/ipv4/conf/eth0/forwarding"], "the other nodes"


def test_ipvs_without_connection_tracking() -> None:
    node = cluster_node()
    for value, mode, expected in (("0", "ipvs", True), ("1", "ipvs", False), ("0", "iptables", False)):
        tracking = replace(node, sysctls={**node.sysctls, "net/ipv4/vs/conntrack": value})
        for case, marks in (("policy_routing", True), ("source_routing", False)):
            declared = declaration(pool(case=case), cluster=Cluster(kube_proxy_mode=mode))
            texts = [
                text
                for text in compile_node(declared, tracking).warnings
                if text.startswith("net/ipv4/vs/conntrack is 0")
            ]
            assert bool(texts) == (expected and marks), (value, mode, case)
