# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations that must pass, and their canonical form."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    Cluster,
    Declaration,
    Pool,
    Settings,
    Vlan,
    parse_declaration,
    parse_settings,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import ABSENT, VALID, changed, second

P = "pools[0]"


def test_the_example_of_the_docs() -> None:
    assert parse_declaration(VALID) == Declaration(
        pools=(
            Pool(
                path="pools[0]",
                name="external",
                networks=("1.2.3.0/24", "fd00:1:2:3::/64"),
                interface="eth0.100",
                vlan=Vlan(parent="eth0", id=100),
                gateways=("1.2.3.1", "fd00:1:2:3::1"),
            ),
        ),
        cluster=Cluster(pod_networks=("10.112.0.0/12", "fd00:112::/32"), service_networks=("10.96.0.0/12",)),
        settings=Settings(),
    )


@pytest.mark.parametrize(
    ("changes", "option", "expected"),
    [
        ({f"{P}.networks[2]": "9.9.9.9"}, "networks", ("1.2.3.0/24", "9.9.9.9/32", "fd00:1:2:3::/64")),
        ({f"{P}.networks[2]": " 1.2.4.0/24 "}, "networks", ("1.2.3.0/24", "1.2.4.0/24", "fd00:1:2:3::/64")),
        ({f"{P}.networks[2]": "FD00:0:0::0001"}, "networks", ("1.2.3.0/24", "fd00::1/128", "fd00:1:2:3::/64")),
        (
            {f"{P}.networks[2]": "1.2.4.10 - 1.2.4.15"},
            "networks",
            ("1.2.3.0/24", "1.2.4.10/31", "1.2.4.12/30", "fd00:1:2:3::/64"),
        ),
        ({f"{P}.networks[2]": "1.2.4.0-1.2.4.255"}, "networks", ("1.2.3.0/24", "1.2.4.0/24", "fd00:1:2:3::/64")),
        ({f"{P}.networks": ["11.0.0.0-11.255.255.255"], f"{P}.gateways": []}, "networks", ("11.0.0.0/8",)),
        ({f"{P}.networks[2]": "1.2.4.7-1.2.4.7"}, "networks", ("1.2.3.0/24", "1.2.4.7/32", "fd00:1:2:3::/64")),
        (
            {f"{P}.networks[2]": "fd01::1-fd01::2"},
            "networks",
            ("1.2.3.0/24", "fd00:1:2:3::/64", "fd01::1/128", "fd01::2/128"),
        ),
        # The order is numeric; adjacent networks are not merged.
        (
            {f"{P}.networks": ["10.0.0.0/25", "9.0.0.0/8", "10.0.0.128/25"], f"{P}.gateways": []},
            "networks",
            ("9.0.0.0/8", "10.0.0.0/25", "10.0.0.128/25"),
        ),
        ({f"{P}.networks": "1.2.3.0/24, fd00:1:2:3::/64"}, "networks", ("1.2.3.0/24", "fd00:1:2:3::/64")),
        ({f"{P}.networks[2]": ""}, "networks", ("1.2.3.0/24", "fd00:1:2:3::/64")),
        ({f"{P}.gateways": ["fd00:1:2:3::1", None, "1.2.3.1/32"]}, "gateways", ("1.2.3.1", "fd00:1:2:3::1")),
        ({f"{P}.gateways": "fe80::1"}, "gateways", ("fe80::1",)),
        ({f"{P}.gateways": ""}, "gateways", ()),
        ({f"{P}.gateways": ["9.9.9.1"], f"{P}.onlink_networks": ["9.9.9.0/30"]}, "gateways", ("9.9.9.1",)),
        # The pool may be a part of the router's subnet, and its first address the router's.
        (
            {f"{P}.networks": ["1.2.3.128/25"], f"{P}.gateways": ["1.2.3.128"], f"{P}.onlink_networks": ["1.2.3.0/24"]},
            "gateways",
            ("1.2.3.128",),
        ),
        ({f"{P}.networks": ["1.2.3.0/31"], f"{P}.gateways": ["1.2.3.0"]}, "gateways", ("1.2.3.0",)),
        ({f"{P}.networks": ["1.2.3.4-1.2.3.9"], f"{P}.gateways": ["1.2.3.4"]}, "gateways", ("1.2.3.4",)),
        ({f"{P}.gateways": ["fd00:1:2:3:ffff:ffff:ffff:ffff"]}, "gateways", ("fd00:1:2:3:ffff:ffff:ffff:ffff",)),
        ({f"{P}.addresses": ["fd00:1:2:3::b/128", "1.2.3.11"]}, "addresses", ("1.2.3.11", "fd00:1:2:3::b")),
        ({f"{P}.vlan": ABSENT}, "vlan", None),
        ({f"{P}.vlan": ""}, "vlan", None),
        ({f"{P}.vlan": {"parent": "bond0", "id": "4094", "mtu": ""}}, "vlan", Vlan("bond0", 4094)),
        ({f"{P}.vlan.mtu": "1280"}, "vlan", Vlan("eth0", 100, 1280)),
        ({f"{P}.vlan.mtu": 0}, "vlan", Vlan("eth0", 100, 0)),
        (
            {f"{P}.vlan.mtu": 68, f"{P}.networks": ["1.2.3.0/24"], f"{P}.gateways": ["1.2.3.1"]},
            "vlan",
            Vlan("eth0", 100, 68),
        ),
        ({f"{P}.interface": "a-_.9"}, "interface", "a-_.9"),
        ({f"{P}.interface": "a" * 15}, "interface", "a" * 15),
        ({f"{P}.name": "9" + "a" * 62}, "name", "9" + "a" * 62),
        ({f"{P}.case": None}, "case", "auto"),
        ({f"{P}.case": "policy_routing"}, "case", "policy_routing"),
        ({f"{P}.case": "same_subnet", f"{P}.gateways": "", f"{P}.vlan": None, f"{P}.table": ""}, "case", "same_subnet"),
        ({f"{P}.case": "onlink_route", f"{P}.gateways": [], f"{P}.addresses": ["1.2.3.5"]}, "case", "onlink_route"),
        ({f"{P}.table": "100"}, "table", 100),
        ({f"{P}.table": 1}, "table", 1),
        ({f"{P}.table": 256}, "table", 256),
        ({f"{P}.table": 0xFFFFFFFF}, "table", 4294967295),
        ({f"{P}.table": ""}, "table", 0),
        ({f"{P}.mark": "0x1f00"}, "mark", 0x1F00),
        ({f"{P}.mark": " 256 "}, "mark", 0x100),
        ({f"{P}.mark": "0x10000", "mark_mask": "0xff0000"}, "mark", 0x10000),
        ({f"{P}.deny": ["192.168.0.0/16", "10.0.0.0/8"]}, "deny", ("10.0.0.0/8", "192.168.0.0/16")),
        (
            {f"{P}.deny": ["127.0.0.0/8", "0.0.0.0/8", "240.0.0.0/4"]},
            "deny",
            ("0.0.0.0/8", "127.0.0.0/8", "240.0.0.0/4"),
        ),
        ({f"{P}.dedicated": "yes"}, "dedicated", True),
        ({f"{P}.dedicated": 0}, "dedicated", False),
        ({f"{P}.dedicated": ""}, "dedicated", None),
        ({f"{P}.rp_filter": "off"}, "rp_filter", "off"),
        ({f"{P}.node_services": "yes"}, "node_services", True),
        ({f"{P}.node_services": ""}, "node_services", False),
        ({"frob": 1, "_ansible_check_mode": True}, "name", "external"),
    ],
)
def test_pool_option(changes: dict[str, Any], option: str, expected: object) -> None:
    assert getattr(parse_declaration(changed(VALID, changes)).pools[0], option) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, Settings()),
        ({"mark_mask": None, "priority_base": "", "iptables_variant": ""}, Settings()),
        ({"mark_mask": "0x1F00"}, Settings(mark_mask=0x1F00)),
        ({"mark_mask": "7936"}, Settings(mark_mask=0x1F00)),
        ({"mark_mask": 1}, Settings(mark_mask=1)),
        ({"mark_mask": "0xffff0000"}, Settings(mark_mask=0xFFFF0000)),
        ({"mark_mask": "0x3fff"}, Settings(mark_mask=0x3FFF)),
        ({"priority_base": 2000}, Settings(priority_base=2000)),
        ({"priority_base": "31000"}, Settings(priority_base=31000)),
        ({"table_base": 256}, Settings(table_base=256)),
        ({"protocol": 5}, Settings(protocol=5)),
        ({"protocol": "255"}, Settings(protocol=255)),
        ({"iptables_variant": "legacy"}, Settings(iptables_variant="legacy")),
    ],
)
def test_settings(parameters: dict[str, Any], expected: Settings) -> None:
    assert parse_declaration({**VALID, **parameters}).settings == expected


@pytest.mark.parametrize("cluster", [None, "", {}, {"pod_networks": None, "kube_proxy_mode": ""}])
def test_a_cluster_without_anything(cluster: object) -> None:
    assert parse_declaration({**VALID, "cluster": cluster}).cluster == Cluster()


def test_addresses_of_the_cluster() -> None:
    cluster = {
        "node_addresses": ["192.168.1.12", "fd00::12", "192.168.1.11", "192.168.1.12", "FD00::0012"],
        "api_servers": "127.0.0.1, ::1, 192.168.1.11",
        "kube_proxy_mode": "ipvs",
    }
    assert parse_declaration({**VALID, "cluster": cluster}).cluster == Cluster(
        node_addresses=("192.168.1.11", "192.168.1.12", "fd00::12"),
        api_servers=("127.0.0.1", "192.168.1.11", "::1"),
        kube_proxy_mode="ipvs",
    )


def test_5000_nodes_of_two_families() -> None:
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(5000)]
    addresses += [f"fd00::{number:x}" for number in range(5000)]
    declared = parse_declaration({**VALID, "cluster": {"node_addresses": addresses}})
    assert len(declared.cluster.node_addresses) == 10000


@pytest.mark.parametrize("pools", [[], None, "", [None], ["wrong"], 7])
def test_a_removal_does_not_depend_on_pools_and_cluster(pools: object) -> None:
    assert parse_settings({"pools": pools, "cluster": "wrong", "protocol": 90}) == Settings(protocol=90)


def test_a_removal_depends_on_the_settings() -> None:
    with pytest.raises(InputErrors, match=r"^protocol: 12 "):
        parse_settings({"protocol": 12})


SAME_VLAN: dict[str, Any] = {"interface": "eth0.100", "vlan": {"parent": "eth0", "id": 100}}
SAME_GATEWAY: dict[str, Any] = {**SAME_VLAN, "onlink_networks": ["1.2.3.0/24"], "gateways": ["1.2.3.1"]}
V4_ONLY = {f"{P}.networks": ["1.2.3.0/25"], f"{P}.gateways": ["1.2.3.1"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"pools[1]": second()},
        {"pools[1]": second(networks=["1.2.2.0/24", "1.2.4.0/24", "fd00:1:2:4::/64"])},
        # Two routers on one interface, each with a table and a mark.
        {f"{P}.table": 100, f"{P}.mark": 256, "pools[1]": second(**SAME_VLAN, table=101, mark=512)},
        # Pools of one gateway may share table and mark, or have their own, or leave them out.
        {**V4_ONLY, f"{P}.table": 100, f"{P}.mark": 256, "pools[1]": second(**SAME_GATEWAY, table=100, mark=256)},
        {**V4_ONLY, f"{P}.table": 100, f"{P}.mark": 256, "pools[1]": second(**SAME_GATEWAY, table=101, mark=512)},
        {**V4_ONLY, f"{P}.table": 100, f"{P}.mark": 256, "pools[1]": second(**SAME_GATEWAY)},
        {**V4_ONLY, "pools[1]": second(**SAME_GATEWAY), "mark_mask": "0x100"},
        {**V4_ONLY, f"{P}.mark": 256, "pools[1]": second(**SAME_GATEWAY, mark=256), "mark_mask": "0x100"},
        # A VLAN in a VLAN.
        {"pools[1]": second(interface="eth0.100.7", vlan={"parent": "eth0.100", "id": 7})},
        # A pool that changes nothing may use the link that another pool creates.
        {"pools[1]": second(interface="eth0.100", case="same_subnet", gateways=[])},
        # A network that is denied on one interface may be a pool on another.
        {"pools[1]": second(deny=["1.2.3.0/24", "10.112.0.0/12"])},
        {f"{P}.deny": ["10.112.0.0/12"], "pools[1]": second(**SAME_VLAN, deny=["10.112.0.0/12"])},
        # As many gateways as the mask has values.
        {"mark_mask": "0x10000"},
        {
            "mark_mask": "0x30000",
            "pools[1]": second(),
            "pools[2]": second(name="third", interface="eth0.300", networks=["1.2.5.0/24"], gateways=["1.2.5.1"]),
            "pools[3]": second(name="fourth", interface="eth0.400", networks=["1.2.6.0/24"], gateways=[]),
        },
    ],
)
def test_pools_without_conflicts(changes: dict[str, Any]) -> None:
    parameters = changed(VALID, changes)
    assert [pool.path for pool in parse_declaration(parameters).pools] == [
        f"pools[{index}]" for index in range(len(parameters["pools"]))
    ]
