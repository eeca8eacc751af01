# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every client reaches every service in each situation that real nodes are in, alone and with others.

The situations are in ``tests/lab/situations.py``. In half of the worlds they arise after the pool was applied, and it is
applied again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernel.delivery.lab import (
    LOST_TIMEOUT,
    TIMEOUT,
    apply,
    assert_all_reached,
    assert_refused_everywhere,
    lab_of,
    pool_of,
    remove,
    try_all,
)
from tests.lab import Cell, Lab, packets
from tests.lab.situations import DEDICATED, SHARED, SITUATIONS, Situation, fits, options_of, packed, prepare
from tests.support.examples import examples
from tests.support.modules import Answer, warnings_of

MODES = ("iptables", "nftables")
VARIANTS = ("nft", "legacy")
NO_DEFAULT = {4: "no-default-4", 6: "no-default-6"}


@dataclass(frozen=True)
class World:
    """Situations that occur together. late: they arise after the pool was applied. case: of the pool."""

    situations: tuple[Situation, ...]
    link: str
    mode: str
    variant: str
    late: bool
    case: str = "policy_routing"

    def __str__(self) -> str:
        names = "+".join(one.name for one in self.situations)
        when = "late" if self.late else "early"
        return f"{names}-{self.link}-{self.mode}-{self.variant}-{when}-{self.case.partition('_')[0]}"

    def has(self, name: str) -> bool:
        return any(one.name == name for one in self.situations)


def worlds() -> list[World]:
    """Return worlds with each situation alone on a dedicated link, and with others on both kinds of links.

    The pool's case is source_routing where there are others, which differs from policy_routing on dedicated links only.
    """
    alone = [((one,), DEDICATED) for one in SITUATIONS.values()]
    chosen = [
        *alone,
        *((group, SHARED) for group in packed(SHARED, 3)),
        *((group, DEDICATED) for group in packed(DEDICATED, 9)),
    ]
    turns = itertools.product((False, True), VARIANTS, MODES)
    return [
        World(group, link, mode, variant, late, "policy_routing" if len(group) == 1 else "source_routing")
        for (group, link), (late, variant, mode) in zip(chosen, itertools.cycle(turns), strict=False)
    ]


def lab_in(world: World) -> Lab:
    """Return the world's lab, not started."""
    return lab_of(kube_proxy=world.mode, variant=world.variant, **options_of(world.situations, world.link))


def apply_in(lab: Lab, world: World) -> list[Answer]:
    """Apply the lab's pool."""
    gateways = next((one.gateways for one in world.situations if one.gateways), ())
    changes: dict[str, Any] = {"gateways": list(gateways)} if gateways else {}
    # Where possible the case is found, not declared
    pool = pool_of(lab, **changes, case=None if world.case == "policy_routing" else world.case)
    if world.has("same-gateway-4"):
        pool["onlink_networks"] = ["10.255.0.1/32"]
    variant = "auto" if world.mode == "iptables" else world.variant
    return apply(lab, pool, iptables_variant=variant)


def is_lost(lab: Lab, world: World, cell: Cell) -> bool:
    """Whether a cell cannot be served, because the node has no route for what its own processes send.

    Where kube-proxy passes a request on to another node it masquerades it, and the reply goes to that node.
    """
    if not world.has(NO_DEFAULT[cell.family]):
        return False
    service = lab.services[cell.service]
    replies_itself = service.endpoints == (f"host{service.announcer[-1]}",)
    return cell.client.startswith("node") or (replies_itself and cell.client in ("outside", "onlink", "poolrouter"))


def assert_served(lab: Lab, world: World) -> None:
    """Assert that the whole matrix is as it must be."""
    deliveries = try_all(lab, lambda cell: is_lost(lab, world, cell))
    lost = [one for one in deliveries if is_lost(lab, world, one.cell)]
    if len(world.situations) == 1:  # others may have a route to the pool's network or to clients
        assert [one for one in lost if one.reached] == []
    assert_all_reached(lab, [one for one in deliveries if one not in lost])
    assert_refused_everywhere(lab, lambda cell: is_not_refused(world, cell))


def is_not_refused(world: World, cell: Cell) -> bool:
    """Whether the kernel cannot send the error, for lack of a route, or a foreign policy drops the request first."""
    if world.has("forward-drop") and world.mode == "nftables":
        return True  # chains of iptables and of nftables are in no certain order
    no_route = {NO_DEFAULT[cell.family], "source-specific-default" if cell.family == 6 else ""}
    return any(one.name in no_route for one in world.situations)


def assert_guests_are_connected(lab: Lab) -> None:
    """Assert that frames which the nodes' bridges only pass on arrive, in both directions."""
    for guest, peer in (("guest1", "poolrouter"), ("guest2", "onlink"), ("poolrouter", "guest2"), ("guest1", "guest2")):
        for address in GUEST_ADDRESSES[peer]:
            assert packets.ping(lab.host(guest), address), f"{guest} to {address}"


GUEST_ADDRESSES = {
    "poolrouter": ("1.2.3.1", "fd00:1:2:3::1"),
    "onlink": ("1.2.3.50", "fd00:1:2:3::50"),
    "guest2": ("1.2.3.62", "fd00:1:2:3::62"),
}


def warned_of(answers: Sequence[Answer], text: str) -> list[bool]:
    """Whether each node was warned with these words."""
    return [any(text in warning for warning in warnings_of(answer)) for answer in answers]


def run_world(world: World) -> None:
    """Set the world up, apply the pool and try everything; nothing may remain after its removal."""
    with lab_in(world) as lab:
        if world.late:
            apply_in(lab, world)
        prepare(lab, world.situations)
        answers = apply_in(lab, world)
        for family, name in NO_DEFAULT.items():
            text = f"the node has no IPv{family} default route"
            assert warned_of(answers, text) == [world.has(name)] * 2
        assert_served(lab, world)
        if lab.options.bridge:
            assert_guests_are_connected(lab)


@pytest.mark.parametrize("world", worlds(), ids=str)
def test_every_client_reaches_every_service(world: World) -> None:
    run_world(world)


def test_the_pool_is_removed_without_a_trace_in_any_situation() -> None:
    """With as many situations at once as fit together."""
    chosen = tuple(one for one in packed(DEDICATED, len(SITUATIONS))[0] if not one.options)
    world = World(chosen, DEDICATED, "iptables", "nft", late=False)
    with lab_in(world) as lab:
        prepare(lab, world.situations)
        before = [node.snapshot() for node in lab.nodes]
        apply_in(lab, world)
        remove(lab)
        for node, state in zip(lab.nodes, before, strict=True):
            assert state.difference(node.snapshot()) == ""


#: What no routing can make right: commands for each node, what the run warns of, and what is lost all the same
UNSERVED = {
    "link without forwarding": (
        ["sysctl -q -w net/ipv4/conf/eth0.100/forwarding=0"],
        "net/ipv4/conf/eth0.100/forwarding is 0",
        Cell("outside", "lo-p1"),
    ),
    "node without IPv6 forwarding": (
        ["sysctl -q -w net/ipv6/conf/all/forwarding=0"],
        "net/ipv6/conf/all/forwarding is 0",
        Cell("outside", "ds-lo-p1", family=6),
    ),
    "marks saved without a mask": (
        ["iptables-nft -w -t mangle -A POSTROUTING -j CONNMARK --save-mark"],
        "CONNMARK --save-mark",
        Cell("outside", "lo-p1"),
    ),
}


@pytest.mark.parametrize(("lines", "warning", "lost"), UNSERVED.values(), ids=UNSERVED)
def test_what_cannot_be_served_is_named(lines: list[str], warning: str, lost: Cell) -> None:
    with lab_of() as lab:
        assert warned_of(apply(lab), warning) == [False, False]
        assert lab.deliver([lost], timeout=TIMEOUT)[0].reached
        for node in lab.nodes:
            node.run("\n".join(lines))
        assert warned_of(apply(lab), warning) == [True, True]
        assert not lab.deliver([lost], timeout=LOST_TIMEOUT)[0].reached


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("link", [DEDICATED, SHARED])
@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=str)
def test_every_situation_alone(situation: Situation, link: str, mode: str, late: bool) -> None:
    if link in situation.links:
        run_world(World((situation,), link, mode, "nft", late))


@st.composite
def combinations(draw: st.DrawFn) -> World:
    """Draw up to five situations that fit together."""
    link = draw(st.sampled_from([DEDICATED, SHARED]))
    chosen: tuple[Situation, ...] = ()
    for one in draw(st.permutations(sorted(SITUATIONS.values(), key=str))):
        if len(chosen) < 5 and fits((*chosen, one), link):
            chosen += (one,)
    size = draw(st.integers(2, 5))
    return World(
        chosen[:size],
        link,
        draw(st.sampled_from(MODES)),
        draw(st.sampled_from(VARIANTS)),
        draw(st.booleans()),
        draw(st.sampled_from(["policy_routing", "source_routing"])),
    )


@pytest.mark.slow
@pytest.mark.random
@examples(10)
@given(world=combinations())
def test_random_combinations(world: World) -> None:
    run_world(world)
