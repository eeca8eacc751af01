# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals: declarations that do not fit the node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster, Declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Interface,
    KubeProxy,
    Link,
    Node,
    NodeState,
    Rule,
)
from tests.unit.declaration.flaws import assert_only
from tests.unit.nodes import cluster_node, declaration, pool, vlan

PLAIN = cluster_node()
SOUND = declaration(pool())
IPVS = Cluster(pod_networks=("10.112.0.0/12",), kube_proxy_mode="ipvs")


def foreign_rule(**values: Any) -> Node:
    node = cluster_node()
    return replace(node, foreign_rules=node.foreign_rules | {Rule("ipv4", **values)})


def with_link(name: str, **changes: Any) -> Node:
    node = cluster_node()
    return replace(node, interfaces={**node.interfaces, name: replace(node.interfaces[name], **changes)})


def with_address(link: str, address: str) -> Node:
    node = cluster_node()
    return replace(node, foreign_addresses=node.foreign_addresses | {Address(link, address)})


@dataclass(frozen=True)
class Refusal:
    """A declaration that does not fit a node, though each of them is valid by itself.

    :param path: which the error must have.
    :param words: that its text must have: of the reason, and of the remedy.
    """

    name: str
    path: str
    words: tuple[str, ...]
    desired: Declaration = SOUND
    node: Node = PLAIN

    def __str__(self) -> str:
        return self.name


RANGES = "Declare only the addresses that MetalLB assigns"
NEW_VLAN = pool(interface="eth0.7", vlan=vlan("eth0", 7))
SIX = pool(networks=("fd00:1::/64",), gateways=("fd00:1::1",))
OTHER = pool("other", networks=("10.2.0.0/24",), gateways=("10.2.0.1",))

LINKS = [
    Refusal(
        "no interface",
        "pools[0].interface",
        ("this node has no interface eth9", "declare pools[0].vlan", "eth0, eth0.100, eth1, lo"),
        declaration(pool(interface="eth9")),
    ),
    Refusal(
        "interface down",
        "pools[0].interface",
        (
            "eth0.100 is down, so no route can use it, and it is managed by someone else",
            'Run "ip link set eth0.100 up"',
        ),
        node=with_link("eth0.100", up=False),
    ),
    Refusal(
        "bridge member",
        "pools[0].interface",
        ("eth0.100 is a port of br0", "Declare interface: br0."),
        node=with_link("eth0.100", master="br0"),
    ),
    Refusal(
        "no parent",
        "pools[0].vlan.parent",
        ("this node has no interface eth9", "Declare the link that carries the VLAN", "eth0, eth0.100, eth1, lo"),
        declaration(pool(interface="x", vlan=vlan("eth9", 7))),
    ),
    Refusal(
        "parent down",
        "pools[0].vlan.parent",
        ("eth0 is down, so a VLAN on it cannot be up", 'Run "ip link set eth0 up" first'),
        declaration(NEW_VLAN),
        with_link("eth0", up=False),
    ),
    Refusal(
        "mtu above the parent's",
        "pools[0].vlan.mtu",
        ("9000 is larger than the MTU of eth0 (1500)", "Lower it, or raise the MTU of eth0 first"),
        declaration(replace(NEW_VLAN, vlan=replace(vlan("eth0", 7), mtu=9000))),
    ),
    Refusal(
        "other id",
        "pools[0].vlan",
        ("eth0.100 already exists and is managed by someone else, as VLAN 100 on eth0", "or remove that link first"),
        declaration(pool(vlan=vlan("eth0", 101))),
    ),
    Refusal(
        "a provider's VLAN",
        "pools[0].vlan",
        (
            "eth0.100 already exists and is managed by someone else, as 802.1ad VLAN 100 on eth0",
            "or remove that link first",
        ),
        declaration(pool(vlan=vlan())),
        with_link("eth0.100", kind="802.1ad vlan"),
    ),
    Refusal(
        "twin",
        "pools[0].vlan",
        ("VLAN 100 on eth0 already exists as eth0.100", "Declare interface: eth0.100"),
        declaration(pool(interface="x", vlan=vlan())),
    ),
    Refusal(
        "IPv6 off",
        "pools[0].networks",
        (
            "fd00:1::/64 is IPv6, which is disabled on eth0.100 (net/ipv6/conf/eth0.100/disable_ipv6)",
            "sysctl -w net/ipv6/conf/eth0.100/disable_ipv6=0",
        ),
        declaration(SIX),
        cluster_node(sysctls={"net/ipv6/conf/default/disable_ipv6": "0", "net/ipv6/conf/eth0.100/disable_ipv6": "1"}),
    ),
    Refusal(
        "IPv6 off for new links",
        "pools[0].networks",
        ("disabled on eth0.7 (net/ipv6/conf/default/disable_ipv6)", "or remove the network"),
        declaration(replace(SIX, interface="eth0.7", vlan=vlan("eth0", 7))),
        cluster_node(sysctls={"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/eth0/disable_ipv6": "0"}),
    ),
    Refusal(
        "IPv6 off for a link that is created again",
        "pools[0].networks",
        ("disabled on eth0.7 (net/ipv6/conf/default/disable_ipv6)",),
        declaration(replace(SIX, interface="eth0.7", vlan=vlan("eth0", 7))),
        replace(
            PLAIN,
            interfaces={**PLAIN.interfaces, "eth0.7": Interface("eth0.7", 5, True, "vlan", "eth0", 8, managed=True)},
            sysctls={"net/ipv6/conf/default/disable_ipv6": "1", "net/ipv6/conf/eth0.7/disable_ipv6": "0"},
        ),
    ),
    Refusal(
        "no IPv6 in the kernel",
        "pools[0].networks",
        ("disabled on eth0.100",),
        declaration(SIX),
        cluster_node(sysctls={}),
    ),
]

#: Would cut off the node, or drop traffic that it needs.
COVERED = [
    Refusal(
        "covers the node",
        "pools[0].networks",
        ("192.168.1.8/29 covers 192.168.1.11, this node's own address on eth0", RANGES),
        declaration(pool(networks=("192.168.1.8/29",))),
    ),
    Refusal(
        "covers the node on the link of its default route",
        "pools[0].networks",
        ("192.168.1.8/29 covers 192.168.1.11, this node's own address on eth0", RANGES),
        declaration(pool(networks=("192.168.1.8/29",), interface="eth0", gateways=())),
    ),
    Refusal(
        "covers the default gateway",
        "pools[0].networks",
        ("192.168.1.0/29 covers 192.168.1.1, the node's default gateway on eth0", RANGES),
        declaration(pool(networks=("192.168.1.0/29",), interface="eth0", gateways=())),
    ),
    Refusal(
        "covers the SSH peer",
        "pools[0].networks",
        ("1.2.3.0/24 covers 1.2.3.77, the peer of this run's SSH connection", RANGES),
        node=cluster_node(ssh_peer="1.2.3.77", ssh_interface="eth0"),
    ),
    Refusal(
        "covers the SSH peer over IPv6",
        "pools[0].networks",
        ("fd00:1::/64 covers fd00:1::77, the peer of this run's SSH connection", RANGES),
        declaration(SIX),
        cluster_node(ssh_peer="fd00:1::77", ssh_interface="eth0"),
    ),
    Refusal(
        "covers the API server that the kubelet talks to",
        "pools[0].networks",
        ("1.2.3.0/24 covers 1.2.3.9, a Kubernetes API server", RANGES),
        node=cluster_node(api_servers=("1.2.3.9",)),
    ),
    Refusal(
        "covers the declared API server",
        "pools[0].networks",
        ("1.2.3.0/24 covers 1.2.3.9, a Kubernetes API server", RANGES),
        declaration(pool(), cluster=replace(SOUND.cluster, api_servers=("1.2.3.9",))),
    ),
    Refusal(
        "own address as gateway",
        "pools[0].gateways",
        ("192.168.1.11 is this node's own address on eth0", "Declare the router's address"),
        declaration(pool(gateways=("192.168.1.11",))),
    ),
    Refusal(
        "own address as gateway, on the pool's link",
        "pools[0].gateways",
        ("1.2.3.1 is this node's own address on eth0.100", "Declare the router's address"),
        node=with_address("eth0.100", "1.2.3.1/24"),
    ),
    Refusal(
        "dedicated under SSH",
        "pools[0].dedicated",
        ("eth0.100 cannot be dedicated", "would be dropped", "Remove dedicated"),
        declaration(pool(dedicated=True)),
        cluster_node(ssh_peer="9.9.9.9", ssh_interface="eth0.100"),
    ),
]

#: Foreign objects in the way, and what this node cannot do.
TAKEN = [
    Refusal(
        "eBPF",
        "cluster.kube_proxy_mode",
        ("(link cilium_host)", "bypasses the connection tracking", "declare its mode: iptables, nftables or ipvs"),
        node=cluster_node(kube_proxy=KubeProxy("ebpf", "link cilium_host")),
    ),
    Refusal(
        "the default router among the nodes",
        "cluster.node_addresses",
        (
            "192.168.1.1 is the node's default gateway on eth0, whose packets the guard would drop as forged",
            "Declare the addresses of the nodes themselves",
        ),
        declaration(pool(), cluster=Cluster(node_addresses=("192.168.1.1", "192.168.1.11"))),
    ),
    Refusal(
        "the default router among the nodes over IPv6",
        "cluster.node_addresses",
        ("fd00:192:168:1::1 is the node's default gateway on eth0",),
        declaration(pool(), cluster=Cluster(node_addresses=("fd00:192:168:1::1",))),
    ),
    Refusal(
        "services in the LAN",
        "cluster.service_networks",
        ("192.168.0.0/16 covers 192.168.1.1, the node's default gateway on eth0", "that the cluster was set up with"),
        declaration(pool(), cluster=Cluster(service_networks=("192.168.0.0/16",))),
    ),
    Refusal(
        "services that cover the node",
        "cluster.service_networks",
        ("192.168.1.8/29 covers 192.168.1.11, this node's own address on eth0",),
        declaration(pool(), cluster=Cluster(service_networks=("192.168.1.8/29",))),
    ),
    Refusal(
        "Cilium's mark",
        "mark_mask",
        (
            "0x1f00 overlaps the mark of a rule that is managed by someone else",
            "lookup 2004",
            "Choose bits that nothing else on the node uses",
        ),
        node=foreign_rule(priority=9, table=2004, fwmark=0x200, fwmask=0xF00),
    ),
    Refusal(
        "a hand-made mark",
        "mark_mask",
        (
            "0x1f00 overlaps the mark of a rule that is managed by someone else",
            "Choose bits that nothing else on the node uses",
        ),
        node=foreign_rule(priority=9, table=9, fwmark=0x100, fwmask=0xFFFFFFFF),
    ),
    Refusal(
        "foreign priority",
        "priority_base",
        ("priorities 2500-2999 are needed", "lookup 9", "Choose a free range, or remove that rule"),
        node=foreign_rule(priority=2650, table=9),
    ),
    Refusal(
        "below the moved local table",
        "priority_base",
        (
            "2000 is before the IPv4 rule of the local table",
            "moved to priority 4000",
            "Choose a priority_base above 4000",
        ),
        node=cluster_node(foreign_rules=frozenset({Rule("ipv4", 4000, table=255), Rule("ipv6", 0, table=255)})),
    ),
    Refusal(
        "below the moved local table, with a rule for one user before it",
        "priority_base",
        ("moved to priority 4000",),
        node=cluster_node(
            foreign_rules=frozenset(
                {
                    Rule("ipv4", 0, table=255, extra=(("FRA_UID_RANGE", bytes(8)),)),
                    Rule("ipv4", 4000, table=255),
                    Rule("ipv6", 0, table=255),
                }
            )
        ),
    ),
    Refusal(
        "below the local table where VRFs have it",
        "priority_base",
        (
            "IPv4 rule of the local table, which was moved to priority 32765",
            "Add a rule for the local table before 2000",
        ),
        node=cluster_node(foreign_rules=frozenset({Rule("ipv4", 32765, table=255)})),
    ),
    Refusal(
        "table that another pool has",
        "pools[1].table",
        ("table 7701 is already used by pools[0] (eth0.100, 1.2.3.1)", "Declare another table for one of them"),
        declaration(pool(), replace(OTHER, table=7701)),
    ),
    Refusal(
        "table that nft wrote to",
        "iptables_variant",
        (
            "the ipv4 table mangle of iptables-nft holds rules that iptables cannot print",
            '"nft -a list table ip mangle" shows them',
            "Move those rules to a separate table.",
        ),
        node=cluster_node(iptables_incompatible=frozenset({("ipv4", "mangle")})),
    ),
    Refusal(
        "IPv6 table that nft wrote to",
        "iptables_variant",
        ("the ipv6 table raw of iptables-nft holds rules", "Move those rules to a separate table."),
        declaration(SIX),
        cluster_node(iptables_incompatible=frozenset({("ipv6", "raw")})),
    ),
    Refusal(
        "IPv6 without ip6tables",
        "pools[0].networks",
        (
            "fd00:1::/64 is IPv6, and the node has no ip6tables to mark its packets",
            "Install ip6tables and its kernel modules, or remove the network",
        ),
        declaration(SIX),
        cluster_node(iptables_families=("ipv4",)),
    ),
    Refusal(
        "deny without effect",
        "pools[0].deny",
        (
            "case onlink_route does not filter packets, so deny would have no effect",
            "Remove deny, or declare case: policy_routing",
        ),
        declaration(pool(gateways=(), deny=("10.0.0.0/8",))),
    ),
]


@pytest.mark.parametrize("refusal", LINKS + COVERED + TAKEN, ids=str)
def test_a_declaration_that_does_not_fit_the_node_is_refused_for_this_reason_only(refusal: Refusal) -> None:
    assert compile_node(SOUND, PLAIN).state.routes, "a valid declaration must pass on the plain node"
    if refusal.node != PLAIN:
        assert compile_node(refusal.desired, PLAIN).state.routes, "the plain node must accept it"
    with pytest.raises(InputErrors) as caught:
        compile_node(refusal.desired, refusal.node)
    assert_only(caught.value, refusal.path, refusal.words)


@pytest.mark.parametrize(
    ("name", "desired", "node"),
    [
        (
            "the declared mode overrides the detected one",
            declaration(pool(), cluster=IPVS),
            cluster_node(kube_proxy=KubeProxy("ebpf", "x")),
        ),
        ("a mark elsewhere", declaration(pool()), foreign_rule(priority=9, table=9, fwmark=0x1, fwmask=0xFFFFFFFF)),
        ("Cilium's local table at 100", declaration(pool()), foreign_rule(priority=100, table=255)),
        (
            "the other family's moved local table",
            declaration(pool()),
            cluster_node(foreign_rules=frozenset({Rule("ipv4", 0, table=255), Rule("ipv6", 32765, table=255)})),
        ),
        (
            "rules of nft in a table that is not used",
            declaration(pool()),
            cluster_node(iptables_incompatible=frozenset({("ipv4", "filter"), ("ipv6", "mangle")})),
        ),
        ("no ip6tables for an IPv4 pool", declaration(pool()), cluster_node(iptables_families=("ipv4",))),
        (
            "a per-node address on the pool's own link",
            declaration(pool()),
            with_link("eth0.100", addresses=("1.2.3.201/24",)),
        ),
        (
            "dedicated where SSH is elsewhere",
            declaration(pool(dedicated=True)),
            cluster_node(ssh_peer="9.9.9.9", ssh_interface="eth0"),
        ),
        (
            "one gateway for two pools",
            declaration(pool(), pool("b", networks=("1.2.4.0/24",), onlink_networks=("1.2.3.1/32",))),
            cluster_node(),
        ),
    ],
)
def test_a_declaration_that_fits_the_node_is_not_refused(name: str, desired: Declaration, node: Node) -> None:
    assert compile_node(desired, node).state.routes, name


def test_a_managed_link_may_be_down_and_is_set_up() -> None:
    node = with_link("eth0.100", up=False, managed=True)
    managed = NodeState(links=frozenset({Link("eth0.100", "vlan", "eth0", 100, up=False)}))
    state = compile_node(declaration(pool(vlan=vlan())), replace(node, managed=managed)).state
    assert state.links == {Link("eth0.100", "vlan", "eth0", 100)}
