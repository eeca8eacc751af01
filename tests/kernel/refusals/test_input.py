# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is refused by the real modules before anything is written: one error, with its path, reason and remedy.

A row per module and per fact that is read from the node; every other flaw is tested in tests/unit.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support.modules import assert_error
from tests.support.node import Node
from tests.support.pools import EXTERNAL, SECOND, SHARED, STORAGE, Parameters, declared

POOLS = "pool_routing"


def pool(**options: Any) -> Parameters:
    return declared({**EXTERNAL, **options}, cluster={"node_addresses": []})


def route(**options: Any) -> Parameters:
    return {"routes": [{"destination": "5.6.7.0/24", **options}]}


def rule(**options: Any) -> Parameters:
    return {"rules": [{"priority": 5, "table": "100", **options}]}


def chain(**options: Any) -> Parameters:
    return {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", **options}]}


NODE = {"networks": ["192.168.1.8/29"], "gateways": ["192.168.1.9"]}
ROUTER = {"networks": ["192.168.1.0/30"], "gateways": ["192.168.1.2"]}
DEDICATED = {**SHARED, "interface": "eth0", "dedicated": True}
#: module, parameters, path, reason
BAD: list[tuple[str, Parameters, str, str]] = [
    (POOLS, pool(networks=["1.2.3.1/24"]), "pools[0].networks[0]", "1.2.3.1/24 is not a network"),
    (POOLS, pool(interface="eth9"), "pools[0].interface", "this node has no interface eth9"),
    (POOLS, pool(**NODE), "pools[0].networks", "192.168.1.8/29 covers 192.168.1.11, this node's own address on eth0"),
    (POOLS, pool(**ROUTER), "pools[0].networks", "covers 192.168.1.1, the node's default gateway on eth0"),
    (POOLS, declared(DEDICATED), "pools[0].dedicated", "a default route of the main table uses it"),
    (
        POOLS,
        declared({**STORAGE, "case": "same_subnet"}),
        "pools[0].case",
        "eth1 has no on-link route to 10.9.8.10-10.9.8.60",
    ),
    ("ip_links", {"links": [{"name": "mv0", "kind": "macvlan"}]}, "links[0].parent", "a macvlan link needs a parent"),
    ("ip_links", {"links": [], "purge": True, "owner": ""}, "owner", "every link without an alias would be treated as"),
    ("ip_routes", route(), "routes[0].interface", "a unicast route needs an interface"),
    ("ip_routes", {"routes": [], "purge": True, "protocol": 2}, "protocol", "2 belongs to the kernel"),
    ("ip_rules", rule(fwmark="0x2000/0x1f00"), "rules[0].fwmark", "0x2000/0x1f00 has bits outside its mask"),
    (
        "ip_rules",
        {"rules": [], "purge": True, "protocol": 77},
        "protocol",
        "77 belongs to homeward.metallb_routing.pool_",
    ),
    ("iptables_chains", chain(name="OTHER"), "chains[0].name", "OTHER does not begin with SITE-"),
    ("iptables_chains", chain(rules=["-j NOWHERE"]), "chains[0].rules[0]", "does not exist. The rule is: -j NOWHERE"),
    ("iptables_chains", {"prefix": "KUBE-", "chains": []}, "prefix", "whose chains would be treated as managed"),
    ("iptables_chains", {**chain(), "comment": "a\n-j ACCEPT"}, "comment", "is not a valid comment: one line"),
]


@pytest.mark.parametrize(("module", "parameters", "path", "reason"), BAD, ids=[f"{row[0]} {row[3]}" for row in BAD])
def test_bad_input_is_refused(node: Node, module: str, parameters: Parameters, path: str, reason: str) -> None:
    assert_error(node.refuse(module, parameters), path, reason)


def test_all_errors_are_reported_at_once(node: Node) -> None:
    answer = node.refuse(
        POOLS, declared({**EXTERNAL, "interface": "a" * 16, "mark": "0x4000"}, {**SECOND, "networks": ["x"]})
    )
    assert {error["path"] for error in answer["errors"]} >= {
        "pools[0].interface",
        "pools[0].mark",
        "pools[1].networks[0]",
    }


def test_the_ssh_connection_is_protected(node: Node) -> None:
    def come_from(client: str) -> None:
        os.environ["SSH_CONNECTION"] = f"{client} 40000 172.16.0.11 22"

    answer = node.refuse(POOLS, declared(EXTERNAL, STORAGE), before=lambda: come_from("1.2.3.99"))
    assert_error(answer, "pools[0].networks", "covers 1.2.3.99, the peer of this run's SSH connection")
    answer = node.refuse(POOLS, declared({**SHARED, "dedicated": True}), before=lambda: come_from("9.9.9.9"))
    assert_error(answer, "pools[0].dedicated", "eth2 cannot be dedicated")
