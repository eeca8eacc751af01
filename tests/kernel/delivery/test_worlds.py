# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With policy_routing every client reaches every service, and replies go home: in every world that a node may be in.

Each matrix has 7 clients, 13 services, TCP with 64 KiB each way and UDP, and IPv6 where the service has it: 224 cells.
"""

from __future__ import annotations

import pytest

from tests.kernel.delivery.lab import LOST, apply, assert_all_reached, lab_of, remove, try_all
from tests.kernel.delivery.worlds import (
    CHOICES,
    World,
    all_worlds,
    apply_pool,
    build,
    clients_shut_out,
    covering_worlds,
    know_services,
    pairs,
    prepare,
)
from tests.lab import Cell, Lab

pytest_plugins = ["tests.kernel.delivery.count"]

#: Where three choices together are what is hard. An address beside the range makes the pool's link a shared one; its
#: replies from other nodes come by eth0, and their source is looked up as if it came by the pool's link.
HARD = [World(mode, "nft", 1, "addressed", "valid_mark", "range") for mode in CHOICES["kube_proxy"]]
COVERING = [*covering_worlds(), *HARD]
WHOLE_MATRIX = 224


def assert_matrix(lab: Lab, world: World, kind: str) -> None:
    """Apply the pool, and try everything."""
    apply_pool(lab, world, kind)
    for node in lab.nodes:
        saved = {variant: node.output(f"iptables-{variant}-save") for variant in CHOICES["variant"]}
        ours = [variant for variant, text in saved.items() if "HOMEWARD-" in text]
        assert ours == [world.variant], "the chains are where kube-proxy's are"
    shut_out = clients_shut_out(kind)
    deliveries = try_all(lab, lambda cell: cell.client in shut_out)
    assert len(deliveries) == WHOLE_MATRIX
    assert_all_reached(deliveries, shut_out)


@pytest.mark.parametrize("world", COVERING, ids=str)
def test_every_client_reaches_every_service(world: World) -> None:
    with build(world) as lab:
        prepare(lab, world)
        assert_matrix(lab, world, world.pool)


def test_every_two_choices_meet() -> None:
    """Also every mode of kube-proxy with every rp_filter, which is the whole product that matters most."""
    assert frozenset().union(*map(pairs, COVERING)) == frozenset().union(*map(pairs, all_worlds()))


@pytest.mark.slow
@pytest.mark.parametrize("world", [world for world in all_worlds() if world.pool == "whole"], ids=str)
def test_every_client_reaches_every_service_in_every_world(world: World) -> None:
    """The ways to declare the pool follow each other on one node, and each leaves nothing of the former."""
    with build(world) as lab:
        prepare(lab, world)
        for kind in CHOICES["pool"]:
            assert_matrix(lab, world, kind)


def lost_without(cell: Cell) -> bool:
    """Whether a cell fails where nothing is applied. Datagrams of the LAN are lucky: its router lets answers pass."""
    inside = cell.client[:-1] in ("node", "pod")
    return not inside and (cell.client, cell.protocol) != ("lan", "udp")


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_without_it_only_nodes_and_pods_reach_them(mode: str) -> None:
    """The control: before and after, the same cells fail as measured, with replies to the default router."""
    with lab_of(kube_proxy=mode) as lab:
        for _ in ("before", "after"):
            for one in try_all(lab, lost_without):
                assert one.reached != lost_without(one.cell), one
                assert "pool" not in one.ways, one
                assert one.cell.client != "outside" or one.ways == ("default",), one
            apply(lab)
            remove(lab)


@pytest.mark.parametrize("per_node", [False, True])
def test_a_strict_router_answers_only_to_its_own_network(per_node: bool) -> None:
    """The control for the worlds with a strict router: there the pool's ``addresses`` are what does it."""
    with lab_of(strict_pool_router=True) as lab:
        apply(lab, per_node=per_node)
        know_services(lab)
        assert lab.deliver([Cell("outside", "lo-p1", "udp")], timeout=LOST)[0].reached == per_node
