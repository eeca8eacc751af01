# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of many hosts as text: what is equal stands once, and the table fits the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import ClusterAddresses
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.diff_text import as_text, count
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_names import abridged, named
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.plan_text import (
    address_lines,
    changing,
    commands_of,
    difference_of,
    reason_lines,
    shared_lines,
    table_lines,
)

REASON = "replies must leave through 1.2.3.1 on eth0.100, and the node's default route uses 192.168.1.1 on eth0"
COMMON = tuple(f"ip -4 rule add priority {number}" for number in range(20))


def result(commands: Sequence[str] = COMMON, pools: Sequence[str] = ("external",), **more: Any) -> dict[str, Any]:
    cases = [
        {
            "pool": pool,
            "networks": ["1.2.3.66-1.2.3.78"],
            "case": "policy_routing",
            "reason": REASON,
            "interface": "eth0.100",
        }
        for pool in pools
    ]
    return {"cases": cases, "commands": list(commands), "changes": {"added": len(commands), "removed": 0}, **more}


def hosts(number: int) -> list[str]:
    return [f"node{one}" for one in range(1, number + 1)]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["node1"], "node1"),
        (["node1", "node2"], "node1, node2"),
        (["node8", "node9", "node10", "web"], "node[8:10], web"),
        (["n08", "n09", "n10"], "n[08:10]"),
        (["n8", "n9", "n010"], "n8, n9, n010"),
        (["192.168.1.11", "192.168.1.12", "192.168.1.13", "192.168.1.15"], "192.168.1.[11:13], 192.168.1.15"),
        (
            ["ip-10-0-0-1.ec2.internal", "ip-10-0-0-2.ec2.internal", "ip-10-0-0-3.ec2.internal"],
            "ip-10-0-0-[1:3].ec2.internal",
        ),
        (["r1n1", "r1n2", "r2n2", "r3n2"], "r1n1, r1n2, r2n2, r3n2"),
        (["a1", "b2", "c3"], "a1, b2, c3"),
        ([], ""),
    ],
)
def test_names_with_consecutive_numbers_are_a_range(names: list[str], text: str) -> None:
    assert abridged(names) == text


def test_the_number_of_hosts_stands_beside_a_range() -> None:
    assert named(hosts(40)) == "node[1:40] (40 hosts)"
    assert named(hosts(2)) == "node1, node2"


@pytest.mark.parametrize("number", [1, 3, 40])
def test_the_table_has_a_row_for_each_pool_of_equal_hosts(number: int) -> None:
    pools = [f"pool{one}" for one in range(1, 6)]
    lines = table_lines({host: result(pools=pools) for host in hosts(number)}, 80, "failed")
    assert len(lines) == 6
    assert lines[0].split() == ["nodes", "pool", "case", "link", "changes"]
    assert lines[1].split() == [abridged(hosts(number)), "pool1", "policy_routing", "eth0.100", "+20", "-0"]
    assert [line.split()[0] for line in lines[2:]] == pools[1:]
    assert max(map(len, lines)) <= 80


def test_hosts_that_differ_have_rows_of_their_own() -> None:
    lines = table_lines(
        {
            "node1": result(),
            "node2": result(()),
            "node3": {"skipped": True, "skip_reason": "no pools are declared for this host"},
            "node4": None,
            "node5": {"failed": True, "confirmed": False},
        },
        80,
        "no plan",
    )
    assert [line.split(maxsplit=1) for line in lines[1:]] == [
        ["node1", "external  policy_routing     eth0.100  +20 -0"],
        ["node2", "external  policy_routing     eth0.100  none"],
        ["node3", "-         no pools, skipped  -"],
        ["node4", "-         no plan            -"],
        ["node5", "-         not confirmed      -"],
    ]


def test_many_names_are_wrapped_beside_the_pools() -> None:
    names = [f"{letter}-node" for letter in "abcdefghijklmnop"]
    lines = table_lines(dict.fromkeys(names, result(pools=["pool1", "pool2"])), 80, "")
    assert max(map(len, lines)) <= 80
    assert "\n".join(lines).count("-node") == 16
    assert [line.split()[-4:-1] for line in lines[1:3]] == [
        ["policy_routing", "eth0.100", "+20"],
        ["h-node,", "pool2", "policy_routing"],
    ]


def test_each_reason_stands_once_with_the_networks_as_declared() -> None:
    lines = list(reason_lines(dict.fromkeys(hosts(3), result()), 200))
    assert lines == ["external: 1.2.3.66-1.2.3.78", f"  policy_routing: {REASON}"]
    different = {
        **dict.fromkeys(hosts(3), result()),
        "node4": result(cases=[{**result()["cases"][0], "reason": "another"}]),
    }
    assert list(reason_lines(different, 200))[1:] == [
        f"  on node[1:3] (3 hosts): policy_routing: {REASON}",
        "  on node4: policy_routing: another",
    ]


def test_common_commands_stand_once() -> None:
    results = {host: result((*COMMON[:10], f"ip address add {host}", *COMMON[10:])) for host in hosts(3)}
    results["node4"] = result(())
    assert list(shared_lines(results, commands_of)) == [
        "# node[1:3] (3 hosts)",
        *COMMON,
        *(line for host in hosts(3) for line in (f"# {host}, in addition", f"ip address add {host}")),
        "# node4",
        "# nothing to change",
    ]


def test_hosts_with_other_commands_do_not_empty_the_common_part() -> None:
    results = {"node1": result(COMMON[:1]), "node2": result(), "node3": result()}
    assert list(shared_lines(results, commands_of)) == ["# node1", COMMON[0], "# node2, node3", *COMMON]


def test_the_number_of_lines_hardly_grows_with_the_number_of_hosts() -> None:
    sizes = [len(list(shared_lines({host: result() for host in hosts(number)}, commands_of))) for number in (1, 3, 400)]
    assert sizes[0] == sizes[1] == sizes[2]


def test_addresses_of_many_nodes_are_abridged() -> None:
    found = ClusterAddresses({host: {f"10.0.0.{number}": "ip"} for number, host in enumerate(hosts(40), 1)}, {}, ())
    results = {"node1": result(node_addresses={"families": ["ipv4"], "kept": {}})}
    assert next(address_lines(found, results, 80, every=False)) == "node[1:40] (40 hosts): IPv4 from ip"
    assert len(list(address_lines(found, results, 80, every=True))) == 40


def test_drift_is_a_host_with_commands() -> None:
    assert changing({"a": result(), "b": result(()), "c": None, "d": {"skipped": True}, "e": result(failed=True)}) == [
        "a"
    ]


CHAINS = [
    "iptables (nft) mangle HOMEWARD-0x100 0001: -j MARK --set-xmark 0x100/0x1f00",
    "iptables (nft) mangle HOMEWARD-0x100: chain",
    "iptables (nft) mangle HOMEWARD-POSTROUTING: jumped to from POSTROUTING, first for -m mark",
    "iptables (nft) mangle HOMEWARD-PREROUTING 0001: -i eth1 -g HOMEWARD-0x100",
    "iptables (nft) mangle HOMEWARD-PREROUTING: jumped to from PREROUTING, first for -i eth1",
    "iptables (nft) raw HOMEWARD-PREROUTING: jumped to from PREROUTING, first for -i eth1",
]


def test_the_difference_is_text_in_the_order_of_a_packet() -> None:
    rules = ["ipv4: priority 2500 from all fwmark 0x0/0x1f00 goto 2999", "ipv4: priority 12800 from all lookup 7701"]
    diff = {
        "before": {},
        "after": {
            "chains": CHAINS,
            "files": ["/etc/x"],
            "links": ["eth1"],
            "routes": ["ipv4: 1.2.3.0/24 dev eth1"],
            "rules": rules[::-1],
        },
    }
    assert as_text(diff) == {
        "before": "",
        "after": "".join(
            f"{line}\n"
            for line in [
                "links:",
                "  eth1",
                "chains:",
                *(f"  {CHAINS[index]}" for index in (5, 4, 3, 1, 0, 2)),
                "rules:",
                *(f"  {rule}" for rule in rules),
                "routes:",
                "  ipv4: 1.2.3.0/24 dev eth1",
                "files:",
                "  /etc/x",
            ]
        ),
    }
    assert count(diff) == {"added": 11, "removed": 0}


def test_differences_have_signs_and_stand_once() -> None:
    diff = {"before": "rules:\n  a\n", "after": "links:\n  eth1\nrules:\n  b\n"}
    results = {host: result(diff=diff) for host in hosts(3)}
    assert list(shared_lines(results, difference_of)) == [
        "# node[1:3] (3 hosts)",
        "+links:",
        "+  eth1",
        " rules:",
        "-  a",
        "+  b",
    ]
