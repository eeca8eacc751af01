# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole delivery matrices next to rules of other programs that match every packet, before or after the pool is applied."""

from __future__ import annotations

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, apply, assert_matrix, lab_of, remove
from tests.lab import Cell, Lab
from tests.support.modules import Answer, warnings_of

#: A VPN that takes all packets without its mark, as wg-quick configures it
WG_QUICK = """
ip link add wg0 type veth peer name wg1
ip link set wg0 up
ip link set wg1 up
ip -4 route add default dev wg0 table 51820
ip -6 route add default dev wg0 table 51820
ip -4 rule add not fwmark 51820 table 51820
ip -6 rule add not fwmark 51820 table 51820
ip -4 rule add table main suppress_prefixlength 0
ip -6 rule add table main suppress_prefixlength 0
"""
#: Source-based routing of a node with several network cards: what main has, in a table of its own
NODE_ADDRESS = """
for family in -4 -6; do
ip $family route show table main | grep -v -e ^default -e ^fe80 -e multicast | sed 's/proto kernel//' | while read -r route; do
ip $family route add $route table 101
done
done
ip -4 route add default via 192.168.1.1 table 101
ip -6 route add default via fd00:192:168:1::1 table 101
ip -4 rule add from {four} lookup 101 priority 100
ip -6 rule add from {six} lookup 101 priority 100
"""
FOREIGN = pytest.mark.parametrize("foreign", [WG_QUICK, NODE_ADDRESS], ids=["wg-quick", "node address"])


def add(lab: Lab, foreign: str) -> None:
    """Add the foreign rules to each node."""
    for number, node in ((11, lab.nodes[0]), (12, lab.nodes[1])):
        node.run(foreign.format(four=f"192.168.1.{number}", six=f"fd00:192:168:1::{number}"))


def notes(answers: list[Answer]) -> list[int]:
    """Return how many families were moved on each node."""
    return [sum("instead of 2" in text for text in warnings_of(answer)) for answer in answers]


@FOREIGN
@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_foreign_rules_do_not_get_the_replies(foreign: str, before: bool, shared: bool) -> None:
    with lab_of(shared_link=shared, rp_filter=1) as lab:
        if not before:
            apply(lab)
        add(lab, foreign)
        clean = [node.snapshot() for node in lab.nodes] if before else []
        # Without other rules, those of wg-quick are directly before the one of the main table.
        moved = [0, 0] if foreign is WG_QUICK and before else [2, 2]
        assert notes(apply(lab)) == moved
        assert_matrix(lab)
        again = apply(lab)
        assert (notes(again), [answer["changed"] for answer in again]) == (moved, [False, False])
        remove(lab)
        for node, snapshot in zip(lab.nodes, clean, strict=False):
            assert snapshot.difference(node.snapshot()) == ""


@FOREIGN
def test_without_another_run_they_do(foreign: str) -> None:
    """The control: an endpoint in the host network replies from the node's address."""
    with lab_of(rp_filter=1) as lab:
        apply(lab)
        add(lab, foreign)
        assert not lab.deliver([Cell("outside", "lo-host1")], timeout=LOST_TIMEOUT)[0].reached
