# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of another shape (text instead of a list, null, a mapping instead of a list) and words of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.objects import (
    parse_chains,
    parse_links,
    parse_routes,
    parse_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import SECOND, VALID, Flaw, assert_only, changed, check

AS_TEXT = ("It looks like a list or mapping that was turned into text", "-e '{\"NAME\": ...}'")
EMPTY = "A variable or template in it may be empty"

SHAPES = [
    Flaw({"pools": json.dumps(VALID["pools"])}, "pools", ("is not a list", *AS_TEXT)),
    Flaw({"pools": str(VALID["pools"])}, "pools", ("is not a list", *AS_TEXT)),
    Flaw({"pools": [json.dumps(VALID["pools"][0])]}, "pools[0]", ("is not a mapping", *AS_TEXT)),
    Flaw({"pools": "external"}, "pools", ("external is not a list", "Give a list of mappings")),
    Flaw({"pools": dict(VALID["pools"][0])}, "pools", ("a mapping is not a list", "put a dash before each entry")),
    Flaw({"pools": {"external": VALID["pools"][0]}}, "pools", ("a mapping is not a list",)),
    Flaw({"pools": [None]}, "pools[0]", ("null is not a mapping", EMPTY)),
    Flaw({"pools": [""]}, "pools[0]", ("'' is not a mapping",)),
    Flaw({"pools": [[VALID["pools"][0]]]}, "pools[0]", ("a list is not a mapping",)),
    Flaw({"pools": 5}, "pools", ("5 is not a list",)),
    Flaw({"pools[0].vlan": '{"parent": "eth0", "id": 100}'}, "pools[0].vlan", ("is not a mapping", *AS_TEXT)),
    Flaw({"pools[0].networks": '["1.2.3.0/24"]'}, "pools[0].networks", ("is text, not a list", *AS_TEXT)),
    Flaw({"pools[0].networks": "['1.2.3.0/24']"}, "pools[0].networks", ("is text, not a list", *AS_TEXT)),
    Flaw({"pools[0].gateways": {"ipv4": "1.2.3.1"}}, "pools[0].gateways", ("a mapping is not a list",)),
    Flaw({"cluster": json.dumps(VALID["cluster"])}, "cluster", ("is not a mapping", *AS_TEXT)),
    Flaw({"cluster": [VALID["cluster"]]}, "cluster", ("a list is not a mapping",)),
    Flaw({"cluster": "ipvs"}, "cluster", ("ipvs is not a mapping", "kube_proxy_mode")),
    Flaw({"cluster.pod_networks": "{'a': 1}"}, "cluster.pod_networks", AS_TEXT),
]

POOL = "pools[0]"
#: Words of MetalLB, Kubespray and others, and the option that is meant.
WORDS = [
    (f"{POOL}.interfaces", "Use interface."),
    (f"{POOL}.ip_range", "Use networks."),
    (f"{POOL}.cidr", "Use networks."),
    (f"{POOL}.network", "Use networks, a list."),
    (f"{POOL}.gateway", "Use gateways, a list."),
    (f"{POOL}.Gateways", "Use gateways."),
    (f"{POOL}.onlink-networks", "Use onlink_networks."),
    (f"{POOL}.onlinkNetworks", "Use onlink_networks."),
    (f"{POOL}.next_hop", "Use gateways."),
    (f"{POOL}.vlan_id", "Use vlan."),
    (f"{POOL}.vlan.vid", "Use id."),
    (f"{POOL}.vlan.link", "Use parent."),
    (f"{POOL}.auto_assign", "It belongs in MetalLB's own resources"),
    (f"{POOL}.avoidBuggyIPs", "It belongs in MetalLB's own resources"),
    (f"{POOL}.nodeSelectors", "It belongs in MetalLB's own resources"),
    (f"{POOL}.labels", "The options are addresses, case"),
    ("cluster.cluster_cidr", "Use pod_networks."),
    ("cluster.kube_service_addresses", "Use service_networks."),
    ("cluster.nodes", "Use node_addresses."),
    ("cluster.kubeProxyMode", "Use kube_proxy_mode."),
    ("cluster.api_server", "Use api_servers, a list."),
]

CONFLICTS = [
    Flaw(
        {f"{POOL}.addresses": ["1.2.3.0/24"]},
        f"{POOL}.addresses[0]",
        (
            "1.2.3.0/24 is not a single address",
            "those of the node itself",
            "Declare the addresses that MetalLB assigns as networks.",
        ),
    ),
    Flaw(
        {f"{POOL}.addresses": ["1.2.3.10-1.2.3.60"]},
        f"{POOL}.addresses[0]",
        ("Declare the addresses that MetalLB assigns",),
    ),
    Flaw(
        {
            "cluster.node_addresses": ["192.168.1.11", "1.2.3.1"],
            f"{POOL}.networks[0]": "1.2.3.64/26",
            f"{POOL}.onlink_networks": ["1.2.3.0/24"],
        },
        f"{POOL}.gateways[0]",
        ("1.2.3.1 is the same as cluster.node_addresses[1] (1.2.3.1)", "drop the gateway's own packets as forged"),
    ),
    Flaw(
        {
            "cluster.node_addresses": ["fd00:1:2:3::1"],
            f"{POOL}.networks[1]": "fd00:1:2:3:4::/80",
            f"{POOL}.onlink_networks": ["fd00:1:2:3::/64"],
        },
        f"{POOL}.gateways[1]",
        ("is the same as cluster.node_addresses[0]",),
    ),
    Flaw(
        {"cluster.service_networks[0]": "192.168.0.0/16", "cluster.node_addresses": ["192.168.1.11"]},
        "cluster.service_networks[0]",
        ("192.168.0.0/16 contains cluster.node_addresses[0] (192.168.1.11)", "no node has an address of a service"),
    ),
    Flaw(
        {
            f"{POOL}.networks[0]": "192.168.1.0/28",
            f"{POOL}.gateways[0]": "192.168.1.1",
            "cluster.node_addresses": ["192.168.1.11", "192.168.1.12"],
        },
        f"{POOL}.networks[0]",
        ("cluster.node_addresses[0] (192.168.1.11)", "cluster.node_addresses[1] (192.168.1.12)"),
    ),
]


@pytest.mark.parametrize("flaw", [*SHAPES, *CONFLICTS], ids=lambda flaw: f"{flaw.path} {flaw.words[0]}")
def test_only_the_flaw_is_refused(flaw: Flaw) -> None:
    check(flaw)


@pytest.mark.parametrize(("path", "remedy"), WORDS)
def test_a_word_of_another_program_gets_a_hint(path: str, remedy: str) -> None:
    with pytest.raises(InputErrors) as caught:
        parse_declaration(changed(VALID, {path: "x"}))
    assert_only(caught.value, path, ("there is no such option", remedy))


def test_null_is_unset_except_in_a_list_of_mappings() -> None:
    empty = changed(
        VALID, {"cluster": None, "pools[0].deny": None, "pools[0].addresses": [None], "pools[0].vlan": None}
    )
    assert parse_declaration(empty).pools[0].addresses == ()
    with pytest.raises(InputErrors) as caught:
        parse_declaration(changed(VALID, {"pools": None}))
    assert_only(caught.value, "pools", ("the list is empty", "metallb_routing_pools", "state: absent"))


def test_a_gateway_may_be_an_api_server() -> None:
    balanced = changed(
        VALID,
        {
            "cluster.api_servers": ["9.9.9.1"],
            "pools": [
                {**SECOND, "networks": ["1.2.4.64/26"], "onlink_networks": ["9.9.9.0/24"], "gateways": ["9.9.9.1"]}
            ],
        },
    )
    assert parse_declaration(balanced).pools[0].gateways == ("9.9.9.1",)


@pytest.mark.parametrize(
    ("parse", "name"),
    [
        (parse_links, "links"),
        (parse_routes, "routes"),
        (parse_rules, "rules"),
        (lambda value: parse_chains(value, "SITE-"), "chains"),
    ],
)
def test_other_lists_of_mappings(parse: Callable[[Any], Any], name: str) -> None:
    for value, path, word in (
        ('[{"name": "a"}]', name, AS_TEXT[0]),
        ({"name": "a"}, name, "put a dash before each entry"),
        ([None], f"{name}[0]", EMPTY),
        ("a", name, "Give a list of mappings"),
    ):
        with pytest.raises(InputErrors) as caught:
            parse(value)
        assert_only(caught.value, path, (word,))
