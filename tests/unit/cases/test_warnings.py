# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings: what is done as declared, but is probably not what the user wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.links import ARP_ANNOUNCE, ARP_IGNORE
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.warnings import removal_warnings
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster, Pool
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Interface,
    NodeState,
    Route,
    Rule,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route import MAIN_TABLE
from tests.unit.nodes import cluster_node, declaration, pool, vlan

WHOLE = Cluster(
    pod_networks=("10.112.0.0/12", "fd00:112::/32"),
    service_networks=("10.96.0.0/12", "fd00:96::/108"),
    node_addresses=("192.168.1.11", "fd00:192:168:1::11"),
    kube_proxy_mode="iptables",
)
BOTH = pool(networks=("1.2.3.0/24", "fd00:1:2:3::/64"), gateways=("1.2.3.1", "fd00:1:2:3::1"))
PLAIN = cluster_node().interfaces["eth0.100"]
SOURCES = ("pod_networks", "service_networks", "node_addresses")


def warnings_of(one: Pool, cluster: Cluster = WHOLE, link: Interface | None = PLAIN) -> tuple[str, ...]:
    """Return the warnings on a node with this link, or without one, as eth0.100."""
    others = {name: other for name, other in cluster_node().interfaces.items() if name != PLAIN.name}
    node = cluster_node(interfaces={**others, **({link.name: link} if link else {})})
    return compile_node(declaration(one, cluster=cluster), node).warnings


def cluster_with(**changes: Any) -> Cluster:
    return Cluster(**{**vars(WHOLE), **changes})


def test_a_complete_declaration_has_no_warning() -> None:
    assert warnings_of(BOTH) == ()


DEFAULT6 = Route("ipv6", MAIN_TABLE, "::/0", gateway="fd00:192:168:1::1", interface="eth0")


@pytest.mark.parametrize(
    ("routes", "rules", "warned"),
    [
        ((DEFAULT6,), (), False),
        ((), (), True),
        ((replace(DEFAULT6, type="unreachable", interface="", gateway=""),), (), True),
        ((replace(DEFAULT6, table=52),), (), True),
        ((replace(DEFAULT6, table=52),), (Rule("ipv6", 5270, table=52),), False),
        ((replace(DEFAULT6, table=52),), (Rule("ipv6", 5270, table=52, suppress_prefixlength=0),), True),
        ((replace(DEFAULT6, table=52),), (Rule("ipv6", 5270, table=52, iif="eth0"),), True),
        ((replace(DEFAULT6, table=52),), (Rule("ipv4", 5270, table=52),), True),
    ],
)
@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
@pytest.mark.parametrize("mode", ["iptables", "ipvs"])
def test_a_family_without_a_default_route(
    mode: str, case: str, routes: tuple[Route, ...], rules: tuple[Rule, ...], warned: bool
) -> None:
    node = cluster_node()
    others = {route for route in node.foreign_routes if route != DEFAULT6}
    node = replace(node, foreign_routes=frozenset({*others, *routes}), foreign_rules=node.foreign_rules.union(rules))
    declared = declaration(replace(BOTH, case=case), cluster=cluster_with(kube_proxy_mode=mode))
    texts = compile_node(declared, node).warnings
    assert [text.startswith("pools[0].networks: the node has no IPv6 default route, ") for text in texts] == [
        True
    ] * warned


def test_cases_without_a_gateway_need_no_default_route() -> None:
    node = cluster_node(foreign_routes=frozenset())
    assert compile_node(declaration(replace(BOTH, gateways=()), cluster=WHOLE), node).warnings == ()


@pytest.mark.parametrize("option", SOURCES)
def test_each_kind_of_cluster_source_that_is_not_declared(option: str) -> None:
    (text,) = warnings_of(BOTH, cluster_with(**{option: ()}))
    assert text.startswith(
        f"cluster.{option}: not declared, so the guard cannot drop packets with forged IPv4 and IPv6 "
    )


@pytest.mark.parametrize("option", SOURCES)
def test_each_family_without_a_declared_cluster_source(option: str) -> None:
    (text,) = warnings_of(BOTH, cluster_with(**{option: vars(WHOLE)[option][:1]}))
    assert text.startswith(f"cluster.{option}: no IPv6 entry, so the guard cannot drop packets with forged IPv6 ")
    assert warnings_of(pool(), cluster_with(**{option: vars(WHOLE)[option][:1]})) == (), "the pool has no IPv6"


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_a_chain_that_accepts_replies_before_they_are_marked(mode: str) -> None:
    node = cluster_node(accepting_chains=frozenset({"cali-PREROUTING"}))
    (text,) = compile_node(declaration(pool(), cluster=cluster_with(kube_proxy_mode=mode)), node).warnings
    assert text.startswith("cali-PREROUTING in the table mangle accepts packets of established connections.")


@pytest.mark.parametrize("case", ["source_routing", "onlink_route"])
def test_without_connmark_rules_such_a_chain_does_no_harm(case: str) -> None:
    one = pool(case=case, gateways=("1.2.3.1",) if case == "source_routing" else ())
    node = cluster_node(accepting_chains=frozenset({"cali-PREROUTING"}))
    assert compile_node(declaration(one, cluster=cluster_with(kube_proxy_mode="ipvs")), node).warnings == ()


def test_a_case_without_a_guard_needs_no_cluster_sources() -> None:
    assert warnings_of(pool(gateways=()), Cluster(kube_proxy_mode="iptables")) == ()


@pytest.mark.parametrize("changes", [{"rp_filter": "strict"}, {"dedicated": True}])
def test_options_that_only_matter_for_a_case_that_filters(changes: dict[str, Any]) -> None:
    (text,) = warnings_of(pool(gateways=(), **changes))
    assert text == (
        "pools[0]: rp_filter and dedicated have no effect on eth0.100, because case onlink_route does not filter packets."
    )
    assert warnings_of(pool(**changes)) == ()


def test_a_network_that_is_on_link_elsewhere() -> None:
    lan = pool(networks=("192.168.1.240/29",), gateways=("192.168.1.246",))
    (text,) = warnings_of(lan)
    assert text.startswith(
        "pools[0].interface: the on-link route to 192.168.1.240/29 uses eth0 on this node, not eth0.100."
    )


def test_the_name_of_the_link_has_another_number() -> None:
    (text,) = warnings_of(pool(vlan=vlan(identifier=101)), link=None)
    assert text == "pools[0].vlan.id: 101 differs from the number in the name of eth0.100."
    assert warnings_of(pool(vlan=vlan()), link=None) == ()


def test_the_link_exists_and_is_not_a_vlan() -> None:
    (text,) = warnings_of(pool(vlan=vlan()), link=replace(PLAIN, kind="veth"))
    assert text.startswith("pools[0].vlan: eth0.100 already exists and is not a VLAN but a veth link;")
    assert warnings_of(pool(vlan=vlan())) == ()


IPVS_LINK = {"kube-ipvs0": Interface("kube-ipvs0", 9, False, kind="dummy")}
ARP = frozenset({Sysctl(ARP_IGNORE, "1"), Sysctl(ARP_ANNOUNCE, "2")})


@pytest.mark.parametrize(
    ("links", "managed", "warned"), [(IPVS_LINK, ARP, 1), ({}, ARP, 0), (IPVS_LINK, frozenset(), 0)]
)
def test_strict_arp_that_kube_proxy_may_still_need(
    links: dict[str, Interface], managed: frozenset[Sysctl], warned: int
) -> None:
    node = cluster_node(interfaces=links, managed=NodeState(sysctls=managed))
    assert [text.startswith(f"{ARP_ANNOUNCE} and {ARP_IGNORE} are reset") for text in removal_warnings(node)] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("listening", "link", "expected"),
    [
        ((), None, ""),  # there is no speaker
        (("eth0", "eth0.100"), PLAIN, ""),
        (("eth0",), PLAIN, "speaker listens on eth0, but not on eth0.100"),
        (
            ("eth0", "eth1"),
            None,
            "already runs on this node (it listens on eth0, eth1), and eth0.100 does not exist yet",
        ),
    ],
)
def test_a_link_that_the_speaker_does_not_know_is_named_once(
    listening: tuple[str, ...], link: Interface | None, expected: str
) -> None:
    others = {name: other for name, other in cluster_node().interfaces.items() if name != PLAIN.name}
    node = cluster_node(
        interfaces={**others, **({link.name: link} if link else {})}, speaker_links=frozenset(listening)
    )
    second = replace(BOTH, name="second", path="pools[1]", networks=("198.51.100.0/28",))
    pools = (replace(BOTH, vlan=vlan("eth0", 100)), replace(second, vlan=vlan("eth0", 100)))
    found = [
        one for one in compile_node(declaration(*pools, cluster=WHOLE), node).warnings if "MetalLB's speaker" in one
    ]
    assert bool(found) == bool(expected)
    for sentence in found:
        assert sentence.startswith("pools[0].interface: ")
        assert expected in sentence
        assert "kubectl -n metallb-system rollout restart daemonset/speaker" in sentence
    assert len(found) <= 1
