# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that a run shows do the same on another node. Random pools are in ``test_idempotence.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.snapshot import Snapshot, assert_same
from tests.support.modules import Answer
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, INSIDE, SECOND, SHARED, STORAGE, Parameters, declared
from tests.support.snapshots import assert_equivalent

POOLS = "pool_routing"
VARIANTS = ("nft", "legacy")


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    """Two equal nodes: one for the module, one for the commands."""
    with Node() as one, Node() as other:
        assert_same(one.snapshot(), other.snapshot())
        yield one, other


def both_do(nodes: tuple[Node, Node], module: str, parameters: Parameters) -> Answer:
    """Run the module on one node and its commands on the other, and compare the nodes."""
    by_module, by_hand = nodes
    answer = by_module.change(module, parameters, check=True)
    by_hand.host.run("\n".join(answer["commands"]))
    by_module.change(module, parameters)
    assert_equivalent(without_macs(by_module.snapshot()), without_macs(by_hand.snapshot()))
    return answer


def without_macs(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without what is random: the MAC of a new macvlan."""
    found = Snapshot(snapshot)
    for part in ("links", "addresses"):
        found[part] = re.sub(r'"address": "[^"]*"', '"address": null', found[part])
    found["addresses"] = re.sub(r'\{"family": "inet6", "local": "fe80::[^}]*\}', "{}", found["addresses"])
    found["routes6"] = re.sub(r'(?m)^\{"dev": "mv0", "dst": "fe80::[^/"]+".*\n?', "", found["routes6"])
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "pools",
    [(EXTERNAL,), (STORAGE, INSIDE), (SECOND, SHARED), (EXTERNAL, STORAGE, SECOND, SHARED)],
    ids=lambda pools: "+".join(pool["name"] for pool in pools),
)
def test_pools_are_applied_and_removed(nodes: tuple[Node, Node], pools: Any, variant: str) -> None:
    start = nodes[0].snapshot()
    assert both_do(nodes, POOLS, {**declared(*pools), "iptables_variant": variant})["commands"]
    assert both_do(nodes, POOLS, {**ABSENT, "iptables_variant": variant})["commands"]
    for node in nodes:
        assert_same(start, node.snapshot())


def test_a_shared_interface_becomes_dedicated_and_back(nodes: tuple[Node, Node]) -> None:
    """The mark stays, so the rule for requests differs from the rules for replies only in ``to``."""
    both_do(nodes, POOLS, declared({**EXTERNAL, "dedicated": False}))
    both_do(nodes, POOLS, declared(EXTERNAL))
    both_do(nodes, POOLS, declared({**EXTERNAL, "dedicated": False}))


def test_pools_with_ipvs_are_applied_and_removed(nodes: tuple[Node, Node]) -> None:
    start = nodes[0].snapshot()
    pools = declared(SHARED, INSIDE, STORAGE, cluster={"kube_proxy_mode": "ipvs"})
    lines = both_do(nodes, POOLS, pools)["commands"]
    assert "sysctl -w net/ipv4/conf/all/arp_ignore=1" in lines
    assert any("from 1.2.6.0/24 lookup" in line for line in lines)
    both_do(nodes, POOLS, ABSENT)
    assert_same(start, nodes[0].snapshot())


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        (
            "ip_links",
            [
                {"links": [{"name": "mv0", "kind": "macvlan", "parent": "eth1", "mtu": 1400}]},
                {"links": [{"name": "mv0", "kind": "macvlan", "parent": "eth1", "mtu": 1300, "up": False}]},
                {"links": [{"name": "mv0", "kind": "macvlan", "parent": "eth2"}]},
                {"links": [], "purge": True},
            ],
        ),
        (
            "ip_routes",
            [
                {
                    "routes": [
                        {"destination": "5.6.7.0/24", "interface": "eth1", "table": "100"},
                        {"destination": "default", "gateway": "5.6.7.1", "interface": "eth1", "table": "100"},
                        {"destination": "fd56::/64", "gateway": "fd00:172::1", "interface": "eth2", "metric": 7},
                        {"destination": "5.6.8.0/24", "gateway": "9.9.9.9", "interface": "eth2", "onlink": True},
                        {"destination": "5.6.9.0/24", "interface": "eth2", "source": "172.16.0.11"},
                        {"destination": "default", "type": "prohibit", "family": "ipv6", "table": "100"},
                    ]
                },
                {"routes": [{"destination": "5.6.7.0/24", "type": "throw", "table": "100"}]},
                {"routes": [], "purge": True},
            ],
        ),
        (
            "ip_rules",
            [
                {
                    "rules": [
                        {"priority": 5, "fwmark": "0/0x1f00", "action": "goto", "goto": 9},
                        {"priority": 9, "action": "nop"},
                        {"priority": 6, "source": "5.6.7.0/24", "invert": True, "table": "100"},
                        {"priority": 7, "destination": "fd56::/64", "iif": "lo", "action": "unreachable"},
                        {"priority": 8, "oif": "eth2", "table": "main", "suppress_prefixlength": 0},
                    ]
                },
                {"rules": [], "purge": True},
            ],
        ),
    ],
    ids=["ip_links", "ip_routes", "ip_rules"],
)
def test_objects_of_one_kind_are_added_changed_and_removed(
    nodes: tuple[Node, Node], module: str, stages: list[dict[str, Any]]
) -> None:
    start = nodes[0].snapshot()
    for parameters in stages:
        assert both_do(nodes, module, parameters)["commands"]
    assert_same(start, nodes[1].snapshot())


@pytest.mark.parametrize("variant", VARIANTS)
def test_chains_are_added_changed_and_removed(nodes: tuple[Node, Node], variant: str) -> None:
    start = nodes[0].snapshot()
    rules = ['-m comment --comment "it\'s \\"quoted\\" $HOME" -j RETURN', "-s 10.0.0.0/8,1.2.3.4 -j DROP"]
    for chains in (
        [{"name": "SITE-IN", "table": "raw", "hook": "PREROUTING", "rules": rules}],
        [{"name": "SITE-IN", "table": "raw", "hook": "OUTPUT", "rules": rules[::-1]}],
        [],
    ):
        both_do(
            nodes, "iptables_chains", {"chains": chains, "prefix": "SITE-", "purge": True, "iptables_variant": variant}
        )
    assert_same(start, nodes[1].snapshot())
