# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets wrong: refused with its place, a reason and what to do before anything is written, by the real modules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.modules import assert_error
from tests.support.node import Node
from tests.support.pools import EXTERNAL, SECOND, SHARED, STORAGE, Parameters, declared

POOLS = "pool_routing"
SOUND = declared(EXTERNAL, STORAGE)
RANGES = "Declare only the addresses MetalLB hands out"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node on which nothing is ever written but by tests that put it back."""
    with Node() as made:
        yield made


def pool(**options: Any) -> Parameters:
    return declared({**EXTERNAL, **options})


#: What each is called, the parameters, the place, what is wrong with it, and what to do.
BAD: list[tuple[str, Parameters, str, str, str]] = [
    (
        "host bits",
        pool(networks=["1.2.3.1/24"]),
        "pools[0].networks[0]",
        "1.2.3.1/24 is not a network",
        "Write 1.2.3.0/24 for the network",
    ),
    (
        "gateway outside",
        pool(gateways=["1.2.4.1"]),
        "pools[0].gateways[0]",
        "1.2.4.1 is not inside any of pools[0].networks (1.2.3.0/24)",
        "Correct the gateway, or add",
    ),
    (
        "gateway of the other family",
        pool(networks=["fd00:1:2:3::/64"]),
        "pools[0].gateways[0]",
        "1.2.3.1 is IPv4, but pools[0].networks has no IPv4 network",
        "Remove it, or add an IPv4 network",
    ),
    (
        "VLAN 0",
        pool(vlan={"parent": "eth0", "id": 0}),
        "pools[0].vlan.id",
        "0 is for packets with a priority but no VLAN",
        "Give the VLAN's id from 1 to 4094",
    ),
    (
        "VLAN 4095",
        pool(vlan={"parent": "eth0", "id": 4095}),
        "pools[0].vlan.id",
        "4095 is reserved by IEEE 802.1Q",
        "Give the VLAN's id from 1 to 4094",
    ),
    (
        "16 letters",
        pool(interface="a" * 16),
        "pools[0].interface",
        "has 16 bytes, but the kernel allows 15",
        "Give the name as `ip -brief link` shows it",
    ),
    (
        "shell in a name",
        pool(interface="eth0;reboot"),
        "pools[0].interface",
        "'eth0;reboot' cannot be used as an interface name",
        "Give the name as `ip -brief link` shows it",
    ),
    (
        "shell in a pool's name",
        pool(name="$(reboot)"),
        "pools[0].name",
        "'$(reboot)' is not a valid pool name",
        "Use up to 63 letters, digits",
    ),
    (
        "unknown table",
        pool(table="nonsense"),
        "pools[0].table",
        "unknown table name nonsense",
        "Look up its number in rt_tables",
    ),
    (
        "mark outside of the mask",
        pool(mark="0x4000"),
        "pools[0].mark",
        "0x4000 has bits outside mark_mask (0x1f00)",
        "Give a multiple of 0x100 up to 0x1f00",
    ),
    (
        "overlapping",
        declared(EXTERNAL, {**SECOND, "networks": ["1.2.3.128/25"]}),
        "pools[1].networks[0]",
        "1.2.3.128/25 lies inside pools[0].networks[0] (1.2.3.0/24)",
        "Remove one of the two",
    ),
    (
        "no networks",
        pool(networks=[]),
        "pools[0].networks",
        "the addresses that MetalLB assigns are missing",
        "Give networks",
    ),
    (
        "10,000 networks",
        pool(networks=[f"20.{n >> 8}.{n & 255}.0/24" for n in range(10_000)]),
        "pools[0].networks",
        "10000 entries are more than the 256 that are allowed",
        "Declare fewer",
    ),
    (
        "no pools",
        {"pools": []},
        "pools",
        "the list is empty, but state is present",
        "Declare at least one pool, or remove everything with state: absent",
    ),
    (
        "unknown interface",
        pool(interface="eth9"),
        "pools[0].interface",
        "this node has no interface eth9",
        "Create it first, or declare pools[0].vlan",
    ),
    (
        "covers the node",
        declared(
            {**EXTERNAL, "networks": ["192.168.1.8/29"], "gateways": ["192.168.1.9"]}, cluster={"node_addresses": []}
        ),
        "pools[0].networks",
        "192.168.1.8/29 covers 192.168.1.11, this node's own address on eth0",
        RANGES,
    ),
    (
        "covers the router",
        pool(networks=["192.168.1.0/30"], gateways=["192.168.1.2"]),
        "pools[0].networks",
        "192.168.1.0/30 covers 192.168.1.1, the node's default gateway on eth0",
        RANGES,
    ),
    (
        "covers the API",
        declared(EXTERNAL, cluster={"api_servers": ["1.2.3.9"]}),
        "pools[0].networks[0]",
        "1.2.3.0/24 contains cluster.api_servers[0] (1.2.3.9)",
        "Correct one of the two",
    ),
    (
        "priorities in the way",
        {**SOUND, "priority_base": 40000},
        "priority_base",
        "40000 leaves no 1,000 priorities before 32000",
        "Use a number from 2000 to 31000",
    ),
    (
        "dedicated with the default route",
        declared({**SHARED, "interface": "eth0", "dedicated": True}),
        "pools[0].dedicated",
        "eth0 cannot be dedicated: a default route of the main table uses it",
        "Remove dedicated.",
    ),
    (
        "case that does not fit",
        declared({**STORAGE, "case": "same_subnet"}),
        "pools[0].case",
        "on eth1: no gateway is declared, and eth1 has no on-link route to 10.9.8.10/31",
        "Use case: onlink_route",
    ),
    (
        "deny without gateway",
        declared({**STORAGE, "deny": ["9.0.0.0/8"]}),
        "pools[0].deny",
        "it has no effect, because pools[0] has no gateways",
        "Add gateways, or leave deny out",
    ),
]


@pytest.mark.parametrize(
    ("parameters", "path", "reason", "remedy"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)
def test_bad_pools(node: Node, parameters: Parameters, path: str, reason: str, remedy: str) -> None:
    assert_error(node.refuse(POOLS, parameters), path, reason, remedy)


def test_all_errors_at_once(node: Node) -> None:
    answer = node.refuse(
        POOLS, declared({**EXTERNAL, "interface": "a" * 16, "mark": "0x4000"}, {**SECOND, "networks": ["x"]})
    )
    assert {error["path"] for error in answer["errors"]} >= {
        "pools[0].interface",
        "pools[0].mark",
        "pools[1].networks[0]",
    }


def test_the_ssh_connection_is_safe(node: Node) -> None:
    def come_over_ssh() -> None:
        os.environ["SSH_CONNECTION"] = "1.2.3.99 40000 172.16.0.11 22"

    covered = "1.2.3.0/24 covers 1.2.3.99, the other end of the connection that this run uses"
    assert_error(node.refuse(POOLS, SOUND, before=come_over_ssh), "pools[0].networks", covered, RANGES)

    def come_by_eth2() -> None:
        os.environ["SSH_CONNECTION"] = "9.9.9.9 40000 172.16.0.11 22"

    answer = node.refuse(POOLS, declared({**SHARED, "dedicated": True}), before=come_by_eth2)
    assert_error(answer, "pools[0].dedicated", "eth2 cannot be dedicated", "Remove dedicated.")
