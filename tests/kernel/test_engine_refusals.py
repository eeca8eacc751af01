# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets wrong: refused with its place, a reason and what to do before anything is written, by the real modules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel.engine import Answer, EngineNode
from tests.kernel.engine_pools import EXTERNAL, SECOND, SHARED, STORAGE, Parameters, declared

POOLS = "pool_routing"
SOUND = declared(EXTERNAL, STORAGE)
RANGES = "Declare only the addresses MetalLB hands out"


@pytest.fixture(scope="module")
def node() -> Iterator[EngineNode]:
    """A node on which nothing is ever written but by tests that put it back."""
    with EngineNode() as made:
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
        "Leave it out, or add an IPv4 network",
    ),
    (
        "VLAN 0",
        pool(vlan={"parent": "eth0", "id": 0}),
        "pools[0].vlan.id",
        "0 marks packets that have a priority but no VLAN",
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
        "'eth0;reboot' cannot be an interface here",
        "Give the name as `ip -brief link` shows it",
    ),
    (
        "shell in a pool's name",
        pool(name="$(reboot)"),
        "pools[0].name",
        "'$(reboot)' is not a pool's name",
        "Take up to 63 letters, digits",
    ),
    (
        "unknown table",
        pool(table="nonsense"),
        "pools[0].table",
        "unknown table name nonsense",
        "Give the number that rt_tables has for it",
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
        "Leave one of the two out",
    ),
    (
        "no networks",
        pool(networks=[]),
        "pools[0].networks",
        "the addresses that MetalLB hands out are missing",
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
        "there are none, but state is present",
        "Declare at least one, or take everything away with state: absent",
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
        "1.2.3.0/24 holds cluster.api_servers[0] (1.2.3.9)",
        "Correct one of the two",
    ),
    (
        "priorities in the way",
        {**SOUND, "priority_base": 40000},
        "priority_base",
        "40000 leaves no 1,000 priorities before 32000",
        "Take a number from 2000 to 31000",
    ),
    (
        "dedicated with the default route",
        declared({**SHARED, "interface": "eth0", "dedicated": True}),
        "pools[0].dedicated",
        "eth0 is not dedicated to the pool: a default route of the main table leaves by it",
        "Leave dedicated out",
    ),
    (
        "case that does not fit",
        declared({**STORAGE, "case": "same_subnet"}),
        "pools[0].case",
        "on eth1: no gateway is declared and eth1 has no route to 10.9.8.10/31",
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


def assert_told(answer: Answer, path: str, reason: str, remedy: str) -> None:
    """Assert that this alone is told: the place, what is wrong there, and behind the full stop what to do."""
    assert [error["path"] for error in answer["errors"]] == [path], answer["errors"]
    message = answer["errors"][0]["message"]
    told = rf"{re.escape(path)}( \(pool \w+\))?: .*{re.escape(reason)}.*\. {re.escape(remedy)}.*"
    assert re.fullmatch(told, message), message
    assert answer["msg"] == message


@pytest.mark.parametrize(
    ("parameters", "path", "reason", "remedy"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)
def test_bad_pools(node: EngineNode, parameters: Parameters, path: str, reason: str, remedy: str) -> None:
    assert_told(node.refuse(POOLS, parameters), path, reason, remedy)


def test_all_errors_at_once(node: EngineNode) -> None:
    answer = node.refuse(
        POOLS, declared({**EXTERNAL, "interface": "a" * 16, "mark": "0x4000"}, {**SECOND, "networks": ["x"]})
    )
    assert {error["path"] for error in answer["errors"]} >= {
        "pools[0].interface",
        "pools[0].mark",
        "pools[1].networks[0]",
    }


def test_the_ssh_connection_is_safe(node: EngineNode) -> None:
    def come_over_ssh() -> None:
        os.environ["SSH_CONNECTION"] = "1.2.3.99 40000 172.16.0.11 22"

    covered = "1.2.3.0/24 covers 1.2.3.99, the other end of the connection that this runs over"
    assert_told(node.refuse(POOLS, SOUND, before=come_over_ssh), "pools[0].networks", covered, RANGES)

    def come_by_eth2() -> None:
        os.environ["SSH_CONNECTION"] = "9.9.9.9 40000 172.16.0.11 22"

    answer = node.refuse(POOLS, declared({**SHARED, "dedicated": True}), before=come_by_eth2)
    assert_told(answer, "pools[0].dedicated", "eth2 is not dedicated to the pool", "Leave dedicated out")


BAD_OBJECTS: list[tuple[str, Parameters, str, str, str]] = [
    (
        "ip_links",
        {"links": [{"name": "x" * 16, "kind": "dummy"}]},
        "links[0].name",
        "xxxxxxxxxxxxxxxx has 16 bytes, but the kernel allows 15",
        "Give the name as `ip -brief link` shows it",
    ),
    (
        "ip_links",
        {"links": [{"name": "mv0", "kind": "macvlan"}]},
        "links[0].parent",
        "a macvlan needs a link below it",
        "Name it",
    ),
    (
        "ip_links",
        {"links": [{"name": "v", "parent": "eth0", "vlan_id": 4095}]},
        "links[0].vlan_id",
        "4095 is out of range",
        "Give a number up to 4094",
    ),
    (
        "ip_links",
        {"links": [{"name": "v", "parent": "eth0"}]},
        "links[0].vlan_id",
        "0 does not go with kind vlan",
        "A vlan, and only a vlan, has an id of 1-4094",
    ),
    (
        "ip_links",
        {"links": [{"name": "d", "kind": "dummy", "mtu": 99999}]},
        "links[0].mtu",
        "99999 is out of range",
        "Give a number up to 65535",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.1/24", "interface": "eth1"}]},
        "routes[0].destination",
        "5.6.7.1/24 has host bits set",
        "Give a network as address/length",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24"}]},
        "routes[0].interface",
        "a unicast route needs the link it leaves by",
        "Name it, or give another type",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "nonsense", "interface": "eth1"}]},
        "routes[0].destination",
        "'nonsense' does not appear to be an IPv4 or IPv6 network",
        "Give a network as address/length",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "gateway": "fd00::1", "interface": "eth1"}]},
        "routes[0].gateway",
        "fd00::1 is not ipv4, as the destination is",
        "Give an address of the same family",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1", "table": "nine"}]},
        "routes[0].table",
        "'nine' is not a number",
        "Give a number up to 4294967295",
    ),
    (
        "ip_routes",
        {
            "routes": [
                {"destination": "5.6.7.0/24", "interface": "eth1"},
                {"destination": "5.6.7.0/24", "interface": "eth2"},
            ]
        },
        "routes[1]",
        "5.6.7.0/24 dev eth2 table main contradicts routes[0], 5.6.7.0/24 dev eth1",
        "Declare one of them",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 0, "table": "100"}]},
        "rules[0].priority",
        "0 is the priority of the kernel's own first rule",
        "Give 1 to 32765",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5}]},
        "rules[0].table",
        "action lookup and table none do not go together",
        "lookup alone has a table",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "action": "goto", "goto": 4}]},
        "rules[0].goto",
        "action goto with goto 4",
        "goto alone names a priority, above its own",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "table": "100", "fwmark": "0x2000/0x1f00"}]},
        "rules[0].fwmark",
        "0x2000/0x1f00 has bits outside its mask, so it can never match",
        "Give value/mask with the value inside",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "table": "100", "source": "1.2.3.4/8"}]},
        "rules[0].source",
        "1.2.3.4/8 has host bits set",
        "Give a network as address/length",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "OTHER", "table": "raw"}]},
        "chains[0].name",
        "OTHER does not begin with SITE-, by which our chains are known",
        "Name it so",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-" + "x" * 30, "table": "raw"}]},
        "chains[0].name",
        "is not a chain's name",
        "Use at most 28 letters, digits, and . _ : -",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "hook": "FORWARD"}]},
        "chains[0].hook",
        "table raw has no built-in chain FORWARD",
        "It has PREROUTING, OUTPUT",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j NOWHERE"]}]},
        "chains[0].rules[0]",
        "Chain 'NOWHERE' does not exist. The rule is: -j NOWHERE",
        "Correct it as iptables-extensions(8)",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j DROP", "-s x\n-j DROP"]}]},
        "chains[0].rules[1]",
        "a rule is one line",
        "Give one list entry per rule",
    ),
    (
        "ip_links",
        {"links": [], "purge": True, "owner": ""},
        "owner",
        "every link without an alias would count as ours",
        "Take a word of your own",
    ),
    (
        "ip_routes",
        {"routes": [], "purge": True, "protocol": 2},
        "protocol",
        "2 belongs to the kernel",
        "Take a number from 5 to 255",
    ),
    (
        "ip_rules",
        {"rules": [], "purge": True, "protocol": 77},
        "protocol",
        "77 belongs to homeward.metallb_routing.pool_routing",
        "Take a number from 5 to 255",
    ),
    (
        "iptables_chains",
        {"prefix": "KUBE-", "chains": [], "purge": True},
        "prefix",
        "whose chains would count as ours",
        "Take a word of your own",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [], "comment": "a\n-j ACCEPT"},
        "comment",
        "is no comment: one line",
        "Shorten it",
    ),
]


@pytest.mark.parametrize(
    ("module", "parameters", "path", "reason", "remedy"), BAD_OBJECTS, ids=[f"{row[0]} {row[2]}" for row in BAD_OBJECTS]
)
def test_bad_objects(
    node: EngineNode, module: str, parameters: Parameters, path: str, reason: str, remedy: str
) -> None:
    assert_told(node.refuse(module, parameters), path, reason, remedy)
