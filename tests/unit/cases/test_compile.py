# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each case compiles to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Cluster, Settings
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Chain,
    Interface,
    Link,
    Node,
    NodeState,
    Route,
    Rule,
)
from tests.unit.nodes import cluster_node, declaration, pool, vlan


def chains_of(state: NodeState, family: str, table: str) -> dict[str, Chain]:
    chains = (chain for chains in state.chains if chains.family == family for chain in chains.chains)
    return {chain.name: chain for chain in chains if chain.table == table}


def sysctls_of(state: NodeState) -> dict[str, str]:
    return {item.name: item.value for item in state.sysctls}


def compiled(*pools: Any, node: Node | None = None, **changes: Any) -> NodeState:
    return compile_node(declaration(*pools, **changes), node or cluster_node()).state


IPVS = Cluster(pod_networks=("10.112.0.0/12",), kube_proxy_mode="ipvs")
SAME = {"networks": ("192.168.1.240/28",), "interface": "eth0", "gateways": ()}


def test_same_subnet_needs_nothing() -> None:
    state = compiled(pool(**SAME))
    assert state.is_empty
    assert not any(chains.chains for chains in state.chains)


@pytest.mark.parametrize("changes", [SAME, {"gateways": ()}, {"case": "source_routing"}, {}])
def test_every_case_sets_strict_arp_for_ipvs(changes: dict[str, Any]) -> None:
    strict_arp = {"net/ipv4/conf/all/arp_ignore": "1", "net/ipv4/conf/all/arp_announce": "2"}
    assert strict_arp.items() <= sysctls_of(compiled(pool(**changes), cluster=IPVS)).items()
    assert not strict_arp.keys() & sysctls_of(compiled(pool(**changes))).keys()


@pytest.mark.parametrize("link", ["kube-ipvs0", "kube-dummy-if"])
def test_a_pool_may_cover_the_addresses_on_the_ipvs_link(link: str) -> None:
    """kube-proxy adds a service's address, which is one of the pool's, to this link as soon as MetalLB assigns it."""
    node = cluster_node()
    kept = {Address(link, "192.168.1.245/32"), Address(link, "10.96.0.1/32")}
    node = replace(node, foreign_addresses=node.foreign_addresses | kept)
    assert sysctls_of(compiled(pool(**SAME), node=node, cluster=IPVS))


def test_onlink_route_is_the_route_of_the_article() -> None:
    state = compiled(pool(gateways=(), onlink_networks=("1.2.4.0/24",)))
    assert state.routes == {
        Route("ipv4", 254, "1.2.3.0/24", interface="eth0.100"),
        Route("ipv4", 254, "1.2.4.0/24", interface="eth0.100"),
    }
    assert not state.rules


def test_onlink_route_leaves_out_networks_that_are_on_link_already() -> None:
    """With an address of one family the kernel has added the route of that family itself."""
    both = pool(networks=("192.168.1.240/28", "fd00:9:8::/64"), interface="eth0", gateways=())
    route = Route("ipv6", 254, "fd00:9:8::/64", interface="eth0")
    assert compiled(both).routes == {route}
    whole = replace(both, networks=("fd00:9:8::/64",), onlink_networks=("192.168.1.0/24",))
    assert compiled(whole).routes == {route}
    (choice,) = compile_node(declaration(both), cluster_node()).choices
    assert choice.reason == "no gateway is declared, and eth0 has no on-link route to fd00:9:8::/64"


def test_source_routing_under_ipvs_is_the_table_and_rule_of_the_article() -> None:
    state = compiled(pool(case="source_routing", table=100), cluster=IPVS)
    assert Route("ipv4", 100, "1.2.3.0/24", interface="eth0.100") in state.routes
    assert Route("ipv4", 100, "0.0.0.0/0", gateway="1.2.3.1", interface="eth0.100") in state.routes
    assert Route("ipv4", 100, "10.112.0.0/12", type="throw") in state.routes
    assert state.rules == {Rule("ipv4", 2200, table=100, source="1.2.3.0/24")}
    assert not chains_of(state, "ipv4", "mangle")


def test_source_routing_without_ipvs_uses_marks_and_filters_nothing() -> None:
    state = compiled(pool(case="source_routing"))
    assert "HOMEWARD-0x100" in chains_of(state, "ipv4", "mangle")
    assert not chains_of(state, "ipv4", "raw")


def test_source_routing_drops_what_the_pool_denies() -> None:
    raw = chains_of(compiled(pool(case="source_routing", deny=("192.168.1.0/24",))), "ipv4", "raw")
    assert raw["HOMEWARD-IN-eth0.100"].rules == ("-s 192.168.1.0/24 -d 1.2.3.0/24 -j DROP",)


#: Pods and nodes of the declaration, as few networks as possible
CLUSTER_NETWORKS = ("10.112.0.0/12", "192.168.1.11/32", "192.168.1.12/32")
RESTORE = "-j CONNMARK --restore-mark --nfmask 0x1f00 --ctmask 0x1f00"


def test_policy_routing_is_the_recipe() -> None:
    state = compiled(pool())
    assert state.routes == {
        Route("ipv4", 7701, "1.2.3.0/24", interface="eth0.100"),
        Route("ipv4", 7701, "0.0.0.0/0", gateway="1.2.3.1", interface="eth0.100"),
        Route("ipv4", 7701, "0.0.0.0/0", metric=4294967294, type="unreachable"),
        *(Route("ipv4", 7701, network, type="throw") for network in CLUSTER_NETWORKS),
    }
    mark = {"fwmark": 0x100, "fwmask": 0x1F00}
    assert state.rules == {
        Rule("ipv4", 2500, action="goto", goto=2999, fwmask=0x1F00),
        Rule("ipv4", 2700, action="goto", goto=2999, iif="eth0.100", **mark),
        Rule("ipv4", 2800, table=7701, **mark),
        Rule("ipv4", 2999, action="nop", fwmark=0x1F00, fwmask=0x1F00),
    }
    mangle = chains_of(state, "ipv4", "mangle")
    assert mangle["HOMEWARD-PREROUTING"].rules == ("-i eth0.100 -j HOMEWARD-IN-eth0.100",)
    assert mangle["HOMEWARD-RESTORE"].rules == (f"-m mark --mark 0x0/0x1f00 {RESTORE}",)
    assert {name: chain.condition for name, chain in mangle.items() if chain.hook} == {
        "HOMEWARD-PREROUTING": "-d 1.2.3.0/24",
        "HOMEWARD-RESTORE": "-m connmark ! --mark 0x0/0x1f00",
        "HOMEWARD-OUTPUT": "-m connmark ! --mark 0x0/0x1f00",
        "HOMEWARD-INPUT": "-m mark ! --mark 0x0/0x1f00",
        "HOMEWARD-POSTROUTING": "-m mark ! --mark 0x0/0x1f00",
    }
    assert mangle["HOMEWARD-IN-eth0.100"].rules == ("-d 1.2.3.0/24 -g HOMEWARD-0x100",)
    assert {chain.hook for chain in mangle.values()} == {"", "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
    assert mangle["HOMEWARD-POSTROUTING"].rules == (
        "-m conntrack ! --ctstate DNAT --ctdir ORIGINAL -j HOMEWARD-UNSERVED",
        "-j MARK --set-xmark 0x0/0x1f00",
    )
    assert mangle["HOMEWARD-UNSERVED"].rules == ("-d 1.2.3.0/24 -j DROP",)
    assert sysctls_of(state) == {
        "net/ipv4/conf/eth0.100/rp_filter": "1",
        "net/ipv4/conf/eth0.100/src_valid_mark": "1",
    }


def test_a_dedicated_link_drops_what_is_not_for_the_pool() -> None:
    raw = chains_of(compiled(pool(deny=("192.168.1.0/24",))), "ipv4", "raw")
    assert raw["HOMEWARD-IN-eth0.100"].rules == (
        "-s 192.168.1.0/24 -j DROP",
        "-d 1.2.3.0/24 -g HOMEWARD-FORGED",
        "-j DROP",
    )
    assert raw["HOMEWARD-FORGED"].rules == (
        "-s 10.112.0.0/12 -j DROP",
        "-s 10.96.0.0/12 -j DROP",
        "-s 192.168.1.11/32 -j DROP",
        "-s 192.168.1.12/32 -j DROP",
    )


@pytest.mark.parametrize("case", ["same_subnet", "onlink_route", "source_routing"])
def test_other_pools_on_a_dedicated_link_pass_the_guard(case: str) -> None:
    node = cluster_node()
    if case == "same_subnet":
        onlink = Route("ipv4", 254, "10.9.0.0/24", interface="eth0.100")
        node = replace(node, foreign_routes=node.foreign_routes | {onlink})
    gateways = ("10.9.0.1",) if case == "source_routing" else ()
    other = pool("other", networks=("10.9.0.0/24",), gateways=gateways, case=case)
    raw = chains_of(compiled(pool(), other, node=node), "ipv4", "raw")
    assert raw["HOMEWARD-IN-eth0.100"].rules == (
        "-d 1.2.3.0/24 -g HOMEWARD-FORGED",
        "-d 10.9.0.0/24 -j RETURN",
        "-j DROP",
    )


@pytest.mark.parametrize(("interface", "accept_ra"), [("eth0.100", "0"), ("eth0", None)])
def test_router_advertisements_are_ignored_on_a_dedicated_link(interface: str, accept_ra: str | None) -> None:
    sysctls = sysctls_of(compiled(pool(networks=("fd00:1::/64",), gateways=("fd00:1::1",), interface=interface)))
    assert sysctls.get(f"net/ipv6/conf/{interface}/accept_ra") == accept_ra


@pytest.mark.parametrize(
    ("changes", "has_route"),
    [({"addresses": ("1.2.3.201",)}, True), ({}, False), ({"addresses": ("1.2.3.201",), "dedicated": False}, False)],
)
def test_the_main_table_has_a_route_to_the_gateway_if_the_node_has_an_address(
    changes: dict[str, Any], has_route: bool
) -> None:
    to_gateway = Route("ipv4", 254, "1.2.3.1/32", interface="eth0.100")
    assert (to_gateway in compiled(pool(**changes)).routes) is has_route


def test_neighbour_discovery_passes_before_anything_is_dropped() -> None:
    raw = chains_of(compiled(pool(networks=("fd00:1::/64",), gateways=("fd00:1::1",))), "ipv6", "raw")
    rules = raw["HOMEWARD-IN-eth0.100"].rules
    assert rules[-1] == "-j DROP"
    assert rules[1] == "-p ipv6-icmp -m icmp6 --icmpv6-type 133 -j RETURN"
    assert rules.index("-s fe80::/10 -d fe80::/10 -j RETURN") < rules.index("-d fd00:1::/64 -g HOMEWARD-FORGED")


SHARED = {"interface": "eth0", "networks": ("1.2.3.0/24",), "gateways": ("1.2.3.1",)}


def test_a_shared_link_drops_only_what_is_forged_or_denied() -> None:
    state = compiled(pool(**SHARED, deny=("192.168.1.0/24",)))
    rules = chains_of(state, "ipv4", "raw")["HOMEWARD-IN-eth0"].rules
    assert rules == ("-s 192.168.1.0/24 -d 1.2.3.0/24 -j DROP", "-d 1.2.3.0/24 -g HOMEWARD-FORGED")
    assert sysctls_of(state) == {"net/ipv4/conf/eth0/src_valid_mark": "1"}


def test_a_shared_link_has_a_mark_for_requests() -> None:
    state = compiled(pool(**SHARED))
    requests, replies = {"fwmark": 0x200, "fwmask": 0x1F00}, {"fwmark": 0x100, "fwmask": 0x1F00}
    assert state.rules == {
        Rule("ipv4", 2500, action="goto", goto=2999, fwmask=0x1F00),
        *(
            Rule("ipv4", 2690, table=7701, iif="eth0", source=endpoints, **requests)
            for endpoints in ("10.112.0.0/12", "192.168.1.0/24")
        ),
        Rule("ipv4", 2700, action="goto", goto=2999, iif="eth0", **requests),
        Rule("ipv4", 2800, table=7701, **requests),
        Rule("ipv4", 2800, table=7701, **replies),
        Rule("ipv4", 2999, action="nop", fwmark=0x1F00, fwmask=0x1F00),
    }
    mangle = chains_of(state, "ipv4", "mangle")
    assert mangle["HOMEWARD-0x100"].rules[1] == "-j MARK --set-xmark 0x200/0x1f00"
    assert "HOMEWARD-FORWARD" not in mangle


@pytest.mark.parametrize(
    ("pods", "nodes", "sources"),
    [
        (("10.112.0.0/12",), ("192.168.1.11", "192.168.1.12"), ("10.112.0.0/12", "192.168.1.0/24")),
        (("10.112.0.0/12",), ("172.20.0.5", "fd00::5"), ("10.112.0.0/12",)),
        ((), ("192.168.1.12", "192.168.1.13", "172.20.0.5"), ("192.168.1.12/31",)),
        (("10.112.0.0/12",), ("10.112.2.7",), ("10.112.0.0/12",)),
    ],
    ids=["network", "behind the default route", "pods unknown", "inside the pods' network"],
)
def test_a_shared_link_routes_source_checks_of_endpoints_by_the_gateway(
    pods: tuple[str, ...], nodes: tuple[str, ...], sources: tuple[str, ...]
) -> None:
    """A request of any other host on the link is routed as without the collection."""
    state = compiled(pool(**SHARED), cluster=Cluster(pod_networks=pods, node_addresses=nodes))
    assert sorted(rule.source for rule in state.rules if rule.priority == 2690) == sorted(sources)


@pytest.mark.parametrize(
    ("route", "pods", "sources"),
    [
        (Route("ipv4", 254, "1.2.3.0/24", interface="eth0.100"), ("10.112.0.0/12",), ["1.2.3.0/26"]),
        (Route("ipv4", 254, "1.2.3.0/24", interface="eth1"), ("10.112.0.0/12",), []),
        (Route("ipv4", 254, "1.2.3.0/24", interface="eth0.100"), (), []),
        (None, ("10.112.0.0/12",), []),
    ],
)
def test_a_route_of_the_node_to_the_pool_needs_a_rule_for_source_checks(
    route: Route | None, pods: tuple[str, ...], sources: list[str]
) -> None:
    """Requests for services without endpoints are routed back to the link, and rejected behind the source check."""
    node = cluster_node()
    node = replace(node, foreign_routes=node.foreign_routes | ({route} if route else set()))
    part = pool(networks=("1.2.3.0/26",), onlink_networks=("1.2.3.0/24",))
    state = compiled(part, node=node, cluster=Cluster(pod_networks=pods))
    assert [rule.source for rule in state.rules if rule.priority == 2690] == sources


def test_throw_routes_are_as_few_as_possible_and_never_replace_a_route_of_the_link() -> None:
    nodes = ("10.0.0.8", "10.0.0.9", "10.0.0.10", "10.0.0.11", "10.0.0.20", "10.112.0.1", "fd00::5")
    cluster = Cluster(pod_networks=("10.112.0.0/12",), node_addresses=nodes)
    state = compiled(pool(onlink_networks=("10.0.0.20/32", "1.2.3.0/24")), cluster=cluster)
    assert {route.destination for route in state.routes if route.type == "throw"} == {"10.0.0.8/30", "10.112.0.0/12"}
    assert Route("ipv4", 7701, "10.0.0.20/32", interface="eth0.100") in state.routes


@pytest.mark.parametrize("mode", ["iptables", "ipvs"])
@pytest.mark.parametrize("case", ["source_routing", "policy_routing"])
def test_sockets_bound_to_the_link_find_its_ipv6_networks(case: str, mode: str) -> None:
    both = pool(
        case=case,
        networks=("1.2.3.0/24", "fd00:1::/64"),
        gateways=("1.2.3.1", "fd00:1::1"),
        onlink_networks=("fd00:1::/48",),
    )
    rules = compiled(both, cluster=replace(IPVS, kube_proxy_mode=mode)).rules
    assert {rule for rule in rules if rule.oif} == {
        Rule("ipv6", 2400, table=7701, destination="fd00:1::/48", oif="eth0.100")
    }


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        (lambda node: node, False),
        (lambda node: replace(node, ssh_interface="eth0.100", ssh_peer="192.168.9.9"), True),
        (
            lambda node: replace(node, foreign_addresses=node.foreign_addresses | {Address("eth0.100", "10.0.0.5/24")}),
            True,
        ),
        (
            lambda node: replace(
                node, foreign_addresses=node.foreign_addresses | {Address("eth0.100", "1.2.3.201/24")}
            ),
            True,
        ),
        (
            lambda node: replace(node, foreign_addresses=node.foreign_addresses | {Address("eth0.100", "fe80::1/64")}),
            False,
        ),
        (
            lambda node: replace(
                node,
                foreign_routes=node.foreign_routes
                | {Route("ipv4", 254, "0.0.0.0/0", metric=9, gateway="1.2.3.1", interface="eth0.100")},
            ),
            True,
        ),
    ],
)
def test_addresses_and_routes_of_the_node_decide_whether_a_link_is_shared(
    change: Callable[[Node], Node], shared: bool
) -> None:
    # The pool's own default gateway is inside its network, so only a range of it is declared here.
    desired = declaration(pool(networks=("1.2.3.128/25",), onlink_networks=("1.2.3.1/32",)))
    (group,) = compile_node(desired, change(cluster_node())).groups
    assert group.shared is shared


def with_link(link: Interface, *others: Interface, **sysctls: str) -> Node:
    """Return the node with these links, and values of settings of br_netfilter."""
    node = cluster_node()
    interfaces = {**node.interfaces, **{one.name: one for one in (*others, link)}}
    settings = {f"net/bridge/{name.replace('_', '-')}": value for name, value in sysctls.items()}
    ipv6 = {f"net/ipv6/conf/{link.name}/disable_ipv6": "0"}
    return replace(node, interfaces=interfaces, sysctls={**node.sysctls, **ipv6, **settings})


@pytest.mark.parametrize(
    ("kind", "ports", "shared"),
    [("bridge", 1, True), ("bridge", 0, True), ("bond", 2, True), ("bond", 0, False), ("openvswitch", 1, True)],
)
def test_a_link_with_ports_is_never_considered_dedicated(kind: str, ports: int, shared: bool) -> None:
    members = [Interface(f"port{number}", 20 + number, True, master="link0") for number in range(ports)]
    node = with_link(Interface("link0", 9, True, kind=kind), *members)
    (group,) = compile_node(declaration(pool(interface="link0")), node).groups
    assert group.shared is shared


BRIDGE = Interface("link0", 9, True, kind="bridge")
ON_BRIDGE = Interface("link0.100", 10, True, kind="vlan", parent="link0", vlan_id=100)


@pytest.mark.parametrize(
    ("link", "sysctls", "matches"),
    [
        (BRIDGE, {"bridge_nf_call_iptables": "1"}, True),
        (BRIDGE, {"bridge_nf_call_iptables": "0"}, True),  # someone may set it later
        (BRIDGE, {}, False),
        (ON_BRIDGE, {"bridge_nf_call_iptables": "1"}, False),
        (ON_BRIDGE, {"bridge_nf_call_iptables": "1", "bridge_nf_pass_vlan_input_dev": "1"}, True),
        (replace(BRIDGE, kind="bond"), {"bridge_nf_call_iptables": "1"}, False),
    ],
)
@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
def test_bridged_frames_to_the_pool_pass_where_iptables_sees_them(
    case: str, link: Interface, sysctls: dict[str, str], matches: bool
) -> None:
    state = compiled(pool(interface=link.name, case=case), node=with_link(link, BRIDGE, **sysctls))
    (rule,) = chains_of(state, "ipv4", "mangle")["HOMEWARD-UNSERVED"].rules
    assert rule == f"-d 1.2.3.0/24 {'-m physdev ! --physdev-is-bridged ' if matches else ''}-j DROP"


@pytest.mark.parametrize("deny", [(), ("192.168.9.0/24",)])
def test_the_guard_of_a_dedicated_bridge_drops_only_packets_to_the_pool(deny: tuple[str, ...]) -> None:
    result = compile_node(declaration(pool(interface="link0", dedicated=True, deny=deny)), with_link(BRIDGE))
    rules = chains_of(result.state, "ipv4", "raw")["HOMEWARD-IN-link0"].rules
    assert all("-d 1.2.3.0/24" in rule for rule in rules)
    assert any("pools[0].dedicated: link0 is a bridge" in warning for warning in result.warnings)


def test_a_missing_link_is_created_and_a_foreign_one_is_left_unchanged() -> None:
    new = pool(interface="eth0.7", vlan=vlan("eth0", 7))
    assert compiled(new).links == {Link("eth0.7", "vlan", "eth0", 7)}
    assert compiled(pool(vlan=vlan())).links == frozenset()


def test_per_node_addresses_have_full_length() -> None:
    state = compiled(pool(addresses=("1.2.3.201",)))
    assert state.addresses == {Address("eth0.100", "1.2.3.201/32")}


@pytest.mark.parametrize(
    ("rp_filter", "all_value", "sysctls", "words"),
    [
        ("auto", "2", {"rp_filter": "1", "src_valid_mark": "1"}, ""),
        ("strict", "0", {"rp_filter": "1", "src_valid_mark": "1"}, ""),
        ("loose", "0", {"rp_filter": "2", "src_valid_mark": "1"}, "drops the same packets as strict"),
        ("off", "1", {"rp_filter": "0", "src_valid_mark": "1"}, "off has no effect"),
        ("off", "0", {"rp_filter": "0", "src_valid_mark": "1"}, "accepts packets with forged sources"),
        ("leave", "1", {}, "requests from outside clients are dropped"),
        ("leave", "0", {}, ""),
    ],
)
def test_reverse_path_filter_and_its_warnings(
    rp_filter: str, all_value: str, sysctls: dict[str, str], words: str
) -> None:
    node = cluster_node(sysctls={**cluster_node().sysctls, "net/ipv4/conf/all/rp_filter": all_value})
    result = compile_node(declaration(pool(rp_filter=rp_filter)), node)
    prefix = "net/ipv4/conf/eth0.100/"
    assert sysctls_of(result.state) == {prefix + name: value for name, value in sysctls.items()}
    assert any(words in warning for warning in result.warnings) if words else result.warnings == ()


def test_a_packet_from_a_pod_is_compared_with_one_rule_for_a_hundred_links() -> None:
    pools = [
        pool(
            f"p{n}",
            networks=(f"10.{n}.0.0/24",),
            gateways=(f"10.{n}.0.1",),
            interface=f"eth0.{n}",
            vlan=vlan("eth0", n),
        )
        for n in range(100, 200)
    ]
    state = compiled(*pools, settings=Settings(mark_mask=0x1FE0))
    mangle = chains_of(state, "ipv4", "mangle")
    assert mangle["HOMEWARD-PREROUTING"].rules[0] == "-i eth0.1+ -j HOMEWARD-ANY-eth0.1"
    assert mangle["HOMEWARD-PREROUTING"].condition == "-i eth0.1+"
    assert len(mangle["HOMEWARD-PREROUTING"].rules) == 1
    assert all(reachable(mangle, f"eth0.{n}", f"-d 10.{n}.0.0/24") for n in range(100, 200))
    assert not reachable(mangle, "cali123", "-d 10.100.0.0/24")


@pytest.mark.parametrize(
    ("links", "condition"),
    [
        (("eth1",), "-i eth1"),
        (("eth0.100", "eth1"), "-i eth+"),
        (("eth1", "eth1.5"), "-i eth1+"),
        (("bond0", "eth1"), ""),
    ],
)
def test_the_jump_matches_what_the_links_have_in_common(links: tuple[str, ...], condition: str) -> None:
    node = cluster_node()
    interfaces = {name: Interface(name, 50 + number, True) for number, name in enumerate(links)}
    node = replace(node, interfaces={**node.interfaces, **interfaces})
    pools = [
        pool(f"p{number}", networks=(f"10.{number}.0.0/24",), gateways=(f"10.{number}.0.1",), interface=name)
        for number, name in enumerate(links)
    ]
    state = compiled(*pools, node=node)
    assert chains_of(state, "ipv4", "raw")["HOMEWARD-PREROUTING"].condition == condition
    mangle = chains_of(state, "ipv4", "mangle")
    conditions = [mangle[name].condition for name in sorted(mangle) if name.startswith("HOMEWARD-PREROUTING")]
    assert conditions == [f"-d 10.{number}.0.0/24" for number in range(len(links))], "no packet is for other links"


def test_no_packet_to_another_address_jumps_on_a_shared_link() -> None:
    state = compiled(pool(**SHARED))
    for table in ("raw", "mangle"):
        chains = chains_of(state, "ipv4", table)
        assert [chain.condition for chain in chains.values() if chain.name == "HOMEWARD-PREROUTING"] == [
            "-d 1.2.3.0/24"
        ]


def test_the_jump_is_for_the_link_where_networks_of_pools_and_pods_are_mixed() -> None:
    pools = [pool(f"p{n}", networks=(f"10.{n}.0.0/24",), gateways=(f"10.{n}.0.1",)) for n in range(8, 248, 24)]
    mangle = chains_of(compiled(*pools), "ipv4", "mangle")
    assert mangle["HOMEWARD-PREROUTING"].condition == "-i eth0.100"
    assert "HOMEWARD-PREROUTING-2" not in mangle


@pytest.mark.parametrize(("networks", "rules"), [(4, 0), (5, 1)])
def test_forwarded_packets_are_not_compared_with_the_networks_of_many_pools(networks: int, rules: int) -> None:
    pools = [pool(f"p{n}", networks=(f"fd00:{n}::/64",), gateways=("fe80::1",)) for n in range(networks)]
    skipping = [rule for rule in compiled(*pools).rules if rule.invert]
    assert skipping == [Rule("ipv6", 2390, action="goto", goto=2500, iif="lo", invert=True)] * rules


def reachable(chains: dict[str, Chain], interface: str, rule: str, chain: str = "HOMEWARD-PREROUTING") -> bool:
    """Whether a packet from the interface reaches a rule with this start, through jumps whose conditions match."""
    for text in chains[chain].rules:
        words = text.split()
        if text.startswith(rule):
            return True
        if words[0] == "-i" and words[2] in ("-j", "-g"):
            name = words[1]
            matches = interface.startswith(name[:-1]) if name.endswith("+") else interface == name
            if matches and reachable(chains, interface, rule, words[3]):
                return True
    return False
