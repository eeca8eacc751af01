# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With policy_routing every client reaches every service, through the pool's gateway, whatever else the node has.

Each matrix has 8 clients, 13 services, TCP with 64 KiB each way and UDP, and IPv6 where the service has it: 256 cells.
"""

from __future__ import annotations

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, apply, assert_matrix, lab_of, remove, try_all
from tests.kernel.delivery.worlds import (
    CHOICES,
    World,
    add_neighbours,
    all_worlds,
    apply_pool,
    build,
    covering_worlds,
    denied_clients,
    pairs,
    prepare,
)
from tests.lab import Cell, Lab

#: Three choices that are difficult together: an address outside the range makes the pool's link shared; replies from other
#: nodes arrive on eth0, and the kernel validates their source as if they arrived on the pool's link.
HARD = [World(mode, "nft", 1, "addressed", "valid_mark", "range") for mode in CHOICES["kube_proxy"]]
COVERING = [*covering_worlds(), *HARD]


def apply_and_try(lab: Lab, world: World, kind: str) -> None:
    """Apply the pool, and try everything."""
    apply_pool(lab, world, kind)
    for node in lab.nodes:
        saved = {variant: node.output(f"iptables-{variant}-save") for variant in CHOICES["variant"]}
        managed = [variant for variant, text in saved.items() if "HOMEWARD-" in text]
        assert managed == [world.variant], "the chains are in the variant that kube-proxy uses"
    assert_matrix(lab, denied_clients(kind))


@pytest.mark.parametrize("world", COVERING, ids=str)
def test_every_client_reaches_every_service(world: World) -> None:
    with build(world) as lab:
        prepare(lab, world)
        apply_and_try(lab, world, world.pool)


def test_every_two_choices_occur_together() -> None:
    """Including every mode of kube-proxy with every rp_filter, the combination that matters most."""
    assert frozenset().union(*map(pairs, COVERING)) == frozenset().union(*map(pairs, all_worlds()))


@pytest.mark.slow
@pytest.mark.parametrize("world", [world for world in all_worlds() if world.pool == "whole"], ids=str)
def test_every_client_reaches_every_service_in_every_world(world: World) -> None:
    """The declarations of the pool follow one another on the same nodes; nothing of an earlier one remains."""
    with build(world) as lab:
        prepare(lab, world)
        for kind in CHOICES["pool"]:
            apply_and_try(lab, world, kind)


def lost_without(cell: Cell) -> bool:
    """Whether a cell fails without a pool applied. Replies to datagrams of the LAN are delivered directly."""
    inside = cell.client[:-1] in ("node", "pod")
    return not inside and (cell.client, cell.protocol) != ("lan", "udp")


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_without_a_pool_applied_only_nodes_and_pods_reach_services(mode: str) -> None:
    """The control: before and after, the other cells fail, with replies to the default router."""
    with lab_of(kube_proxy=mode) as lab:
        for _ in ("before", "after"):
            for one in try_all(lab, lost_without):
                assert one.reached != lost_without(one.cell), one
                assert "pool" not in one.ways, one
                assert one.cell.client != "outside" or one.ways == ("default",), one
            apply(lab)
            remove(lab)


@pytest.mark.parametrize("per_node", [False, True])
def test_a_strict_router_answers_only_its_own_network(per_node: bool) -> None:
    """The control for the worlds with a strict router, which need the pool's ``addresses``."""
    with lab_of(strict_pool_router=True) as lab:
        apply(lab, per_node=per_node)
        add_neighbours(lab)
        assert lab.deliver([Cell("outside", "lo-p1", "udp")], timeout=LOST_TIMEOUT)[0].reached == per_node
