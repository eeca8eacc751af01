# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply, again, check, move, remove: over random pools, on a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.lab.snapshot import Snapshot, assert_same
from tests.support import ip_witness
from tests.support.events import Events
from tests.support.examples import examples
from tests.support.modules import Answer
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, Parameters, declared
from tests.support.random_pools import declarations
from tests.support.snapshots import assert_equivalent

VARIANTS = ("nft", "legacy")
POOLS = "pool_routing"
FEW = examples(10)


def change_truly(node: Node, parameters: Parameters, before: Snapshot) -> tuple[Answer, Snapshot]:
    """Check, apply, and apply again; the check must have been true, and it and the last run must have written nothing.

    :param before: the node's picture now.
    :returns: the answer, and the node's picture afterwards.
    """
    with writes_nothing(node, before):
        foretold = node.change(POOLS, parameters, check=True)
    done = node.change(POOLS, parameters)
    assert foretold == done
    after = node.snapshot()
    assert done["changed"] == bool(done["commands"]) == (before != after), before.difference(after)
    with writes_nothing(node, after):
        again = node.change(POOLS, parameters)
    assert (again["changed"], again["commands"]) == (False, []), again["commands"]
    assert again["diff"] == {"before": {}, "after": {}}
    return done, after


@contextmanager
def writes_nothing(node: Node, before: Snapshot) -> Iterator[None]:
    """Assert that nothing is written on the node meanwhile, not even what is there already."""
    stamps = file_stamps(node)
    with Events(node.host) as events:
        yield
    assert events.seen == []
    assert file_stamps(node) == stamps
    assert_same(before, node.snapshot())


def file_stamps(node: Node) -> dict[str, Any]:
    """Return inode and time of each file of ours, which change even if the same content is written."""
    found = {}
    for folder in ("/run/homeward.metallb_routing", "/etc/iproute2/rt_protos.d", "/var/lib/homeward.metallb_routing"):
        for path in node.host.path(folder).rglob("*"):
            status = Path(path).lstat()
            found[str(path)] = (status.st_ino, status.st_mtime_ns)
    return found


def assert_left_nothing(node: Node, start: Snapshot) -> None:
    assert_same(start, node.snapshot())
    assert not node.host.path("/run/homeward.metallb_routing").exists()


@pytest.mark.random
@pytest.mark.parametrize("variant", VARIANTS)
def test_random_pools_come_change_and_go(variant: str) -> None:
    @FEW
    @given(declarations(variant), declarations(variant))
    def come_change_and_go(first: Parameters, second: Parameters) -> None:
        # A node of its own: what fails is tried once more, and would find what it left.
        with Node() as node:
            start = now = node.snapshot()
            for parameters in (first, second, ABSENT):
                _answer, now = change_truly(node, parameters, now)
            assert_left_nothing(node, start)

    come_change_and_go()


@pytest.mark.random
def test_where_pools_were_before_leaves_no_trace(node: Node) -> None:
    """The state depends on what is declared now; the marks alone, which stay a gateway's own, come from history."""
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
            # On a shared link requests have a mark of their own besides, which cannot be declared.
            if all(case.get("dedicated", True) for case in cases.values()):
                assert_equivalent(node.snapshot(), fresh.snapshot())
                compared.append(second)
            for one in (node, fresh):
                one.change(POOLS, ABSENT)
            assert_left_nothing(node, start)

        compared: list[Parameters] = []
        move()
        assert len(compared) >= 4, "too few of the drawn ones can be compared"


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
    whole = declared({**EXTERNAL, "mark": "0x200", "table": "122"}, SECOND)  # else the marks come from history
    node.change(POOLS, whole)
    there = node.snapshot()
    answer, _picture = change_truly(node, declared({**whole["pools"][0], **moved}, SECOND), there)
    assert answer["changed"]
    node.change(POOLS, whole)
    assert_equivalent(there, node.snapshot())
    node.change(POOLS, ABSENT)
    assert_left_nothing(node, start)


@pytest.mark.random
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_difference_says_what_other_tools_see(node: Node, variant: str) -> None:
    @FEW
    @given(parameters=declarations(variant))
    def compare(parameters: Parameters) -> None:
        said_is_seen(node, parameters, variant)

    compare()


def said_is_seen(node: Node, parameters: Parameters, variant: str) -> None:
    """From nothing, the lines after are exactly what ``ip``, ``iptables-save`` and the settings show of ours."""
    said = node.change(POOLS, parameters)["diff"]["after"]
    seen: Any = node
    assert said.get("routes", []) == sorted(f"{route.family}: {route}" for route in ip_witness.routes(seen))
    assert said.get("rules", []) == sorted(f"{rule.family}: {rule}" for rule in ip_witness.rules(seen))
    for line in said.get("sysctls", []):
        name, _sign, value = line.partition("=")
        assert node.host.sysctl(name) == value
    counted = "".join(node.snapshot()[f"{stem}-{variant}-save"] for stem in ("iptables", "ip6tables"))
    assert len(said.get("chains", [])) == counted.count("\n:HOMEWARD-") + counted.count("\n-A HOMEWARD-")
    node.change(POOLS, ABSENT)


def test_listeners_do_hear_what_is_written(node: Node) -> None:
    """Otherwise hearing nothing would say nothing."""
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
def test_absent_where_nothing_is_changes_nothing(node: Node, variant: str) -> None:
    with Events(node.host) as events:
        answer = node.change(POOLS, {**ABSENT, "iptables_variant": variant})
    assert (answer["changed"], answer["commands"], events.seen) == (False, [], [])
