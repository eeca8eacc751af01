# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, apply, apply again, change and remove, with random pools."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.kernel.engine.convergence import converge
from tests.lab.snapshot import Snapshot, assert_same
from tests.support import ip_witness
from tests.support.events import Events
from tests.support.examples import examples
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, Parameters, declared
from tests.support.random_pools import declarations
from tests.support.snapshots import assert_equivalent

VARIANTS = ("nft", "legacy")
POOLS = "pool_routing"
FEW = examples(10)


def assert_left_nothing(node: Node, start: Snapshot) -> None:
    assert_same(start, node.snapshot())
    assert not node.host.path("/run/homeward.metallb_routing").exists()


@pytest.mark.random
@pytest.mark.parametrize("variant", VARIANTS)
def test_random_pools_are_applied_changed_and_removed(variant: str) -> None:
    """And the commands shown do the same on another node."""

    @FEW
    @given(declarations(variant), declarations(variant))
    def apply_change_and_remove(first: Parameters, second: Parameters) -> None:
        # Nodes of its own, because Hypothesis repeats what fails.
        with Node() as node, Node() as by_hand:
            start = now = node.snapshot()
            for parameters in (first, second, {**ABSENT, "iptables_variant": variant}):
                answer, now = converge(node, POOLS, parameters, now)
                by_hand.host.run("\n".join(answer["commands"]))
                assert_equivalent(now, by_hand.snapshot())
            for one in (node, by_hand):
                assert_left_nothing(one, start)

    apply_change_and_remove()


@pytest.mark.random
def test_the_state_depends_on_the_declaration_alone(node: Node) -> None:
    """Except for marks and tables, which a gateway keeps."""
    with Node() as fresh:
        start = node.snapshot()
        assert_same(start, fresh.snapshot())

        @FEW
        @given(first=declarations(), second=declarations())
        def move(first: Parameters, second: Parameters) -> None:
            node.change(POOLS, first)
            cases = {case["pool"]: case for case in node.change(POOLS, second)["cases"]}
            for pool in second["pools"]:
                case = cases[pool["name"]]
                if "mark" in case:
                    pool.update(mark=hex(case["mark"]), table=str(case["table"]))
            fresh.change(POOLS, second)
            # On a shared link requests have another mark, which cannot be declared.
            if all(case.get("dedicated", True) for case in cases.values()):
                assert_equivalent(node.snapshot(), fresh.snapshot())
                compared.append(second)
            for one in (node, fresh):
                one.change(POOLS, ABSENT)
            assert_left_nothing(node, start)

        compared: list[Parameters] = []
        move()
        assert len(compared) >= 4, "too few examples can be compared"


@pytest.mark.parametrize(
    "moved",
    [
        {"interface": "eth0.200"},
        {"gateways": ["1.2.3.2", "fd00:1:2:3::2"]},
        {"table": "123"},
        {"mark": "0x1f00"},
        {"networks": ["1.2.3.0/25", "1.2.3.128-1.2.3.200", "fd00:1:2:3::/64"]},
        {"case": "source_routing"},
        {"rp_filter": "leave"},
        {"dedicated": False},
        {"deny": ["192.168.1.0/24"]},
        {"addresses": ["1.2.3.201", "fd00:1:2:3::201"]},
    ],
    ids=lambda moved: next(iter(moved)),
)
def test_one_option_changes_and_changes_back(node: Node, moved: dict[str, Any]) -> None:
    start = node.snapshot()
    whole = declared({**EXTERNAL, "mark": "0x200", "table": "122"}, SECOND)  # or a gateway keeps others
    node.change(POOLS, whole)
    there = node.snapshot()
    answer, _after = converge(node, POOLS, declared({**whole["pools"][0], **moved}, SECOND), there)
    assert answer["changed"]
    node.change(POOLS, whole)
    assert_equivalent(there, node.snapshot())
    node.change(POOLS, ABSENT)
    assert_left_nothing(node, start)


@pytest.mark.random
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_diff_is_what_other_tools_show(node: Node, variant: str) -> None:
    @FEW
    @given(parameters=declarations(variant))
    def compare(parameters: Parameters) -> None:
        assert_diff_is_shown(node, parameters, variant)

    compare()


def assert_diff_is_shown(node: Node, parameters: Parameters, variant: str) -> None:
    """Assert that the diff of a first run is what ``ip``, ``iptables-save`` and sysctls show of managed objects."""
    diff = node.change(POOLS, parameters)["diff"]["after"]
    seen: Any = node
    assert diff.get("routes", []) == sorted(f"{route.family}: {route}" for route in ip_witness.routes(seen))
    assert diff.get("rules", []) == sorted(f"{rule.family}: {rule}" for rule in ip_witness.rules(seen))
    for line in diff.get("sysctls", []):
        name, _sign, value = line.partition("=")
        assert node.host.sysctl(name) == value
    counted = "".join(node.snapshot()[f"{stem}-{variant}-save"] for stem in ("iptables", "ip6tables"))
    assert len(diff.get("chains", [])) == counted.count("\n:HOMEWARD-") + counted.count("\n-A HOMEWARD-")
    node.change(POOLS, ABSENT)


def test_events_show_what_is_written(node: Node) -> None:
    """The control: without it, no events would prove nothing."""
    for command, heard in {
        "ip route add 10.77.0.0/16 dev eth1; ip route del 10.77.0.0/16 dev eth1": "rtnetlink 24",
        "ip -6 rule add priority 77 lookup 77; ip -6 rule del priority 77": "rtnetlink 32",
        "sysctl -qw net/ipv4/conf/eth1/rp_filter=1 net/ipv4/conf/eth1/rp_filter=0": "rtnetlink 80",
        "iptables-nft -t raw -N X; iptables-nft -t raw -X X": "nftables 2563",
    }.items():
        with Events(node.host) as events:
            node.host.run(command)
        assert heard in events.seen, (command, events.seen)


@pytest.mark.parametrize("variant", VARIANTS)
def test_absent_on_a_clean_node_changes_nothing(node: Node, variant: str) -> None:
    with Events(node.host) as events:
        answer = node.change(POOLS, {**ABSENT, "iptables_variant": variant})
    assert (answer["changed"], answer["commands"], events.seen) == (False, [], [])
