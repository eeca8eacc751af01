"""Each situation changes the nodes, the cluster works in it, and it defeats the recipes that it is known to defeat."""

from __future__ import annotations

import pytest

from tests.lab import Cell, Lab, LabOptions, controls
from tests.lab.delivery import all_cells, assert_delivered
from tests.lab.situations import DEDICATED, SITUATIONS, Situation, options_of, packed, prepare

PREFIX = "homeward-situation"
GROUPS = packed(DEDICATED, 9)


def names(group: tuple[Situation, ...]) -> str:
    return "+".join(map(str, group))


def needs_a_missing_default_route(cell: Cell, group: tuple[Situation, ...]) -> bool:
    """Whether a node's own process has no route to the service's address, by which the kernel routes it before kube-proxy
    translates it."""
    return cell.client.startswith("node") and f"no-default-{cell.family}" in map(str, group)


@pytest.mark.parametrize("group", GROUPS, ids=names)
def test_the_cluster_works_in_every_situation(group: tuple[Situation, ...]) -> None:
    """Nodes and pods reach every service. So whatever is lost with a recipe is lost by the recipe."""
    options = options_of(group, DEDICATED)
    with Lab(LabOptions(prefix=PREFIX, **options)) as lab:
        node = lab.host("node1")
        for one in group:
            before = node.snapshot()
            prepare(lab, [one])
            elsewhere = one.options or one.hosts or one.name == "reflected-marks"  # not part of snapshots
            assert before.difference(node.snapshot()) or elsewhere, f"{one} changes nothing"
        inside = [cell for cell in all_cells(lab) if cell.client.startswith(("node", "pod"))]
        assert_delivered(
            lab, lab.deliver([cell for cell in inside if not needs_a_missing_default_route(cell, group)], timeout=8.0)
        )


def test_every_situation_is_in_a_group() -> None:
    assert {one.name for group in GROUPS for one in group} == set(SITUATIONS)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("pods-in-table-52", Cell("outside", "cl-p2")),
        ("firewalld-strict", Cell("outside", "cl-p1")),
        ("firewalld-strict", Cell("outside", "ds-lo-p1", family=6)),
    ],
)
def test_requests_must_travel_as_packets_without_a_mark(name: str, cell: Cell) -> None:
    """The first recipe sends them by a table of its choice; replies fail where a filter looks up their source with the mark."""
    for recipe, reached in (("recipe", False), ("refined", True)):
        with Lab(LabOptions(prefix=PREFIX)) as lab:
            prepare(lab, [SITUATIONS[name]])
            controls.apply(lab, recipe)
            assert lab.deliver([cell])[0].reached == reached, recipe


def test_same_gateway_address_on_two_links() -> None:
    """The recipes name the link, so the default route's gateway does not matter."""
    with Lab(LabOptions(prefix=PREFIX)) as lab:
        prepare(lab, [SITUATIONS["same-gateway-4"], SITUATIONS["same-gateway-6"]])
        assert not lab.deliver([Cell("outside", "cl-p1")], timeout=1.0)[0].reached
        controls.apply(lab, "refined")
        assert_delivered(lab, lab.deliver())


def test_guests_on_the_bridge_are_connected_until_a_guard_drops_bridged_frames() -> None:
    """iptables sees bridged frames as if they arrived on the bridge."""
    with Lab(LabOptions(prefix=PREFIX, bridge=True)) as lab:
        guest = lab.host("guest1")
        router = ("1.2.3.1", "fd00:1:2:3::1")
        assert all(guest.run(["ping", "-c1", "-W2", address], check=False).returncode == 0 for address in router)
        controls.apply(lab, "refined")
        lost = [guest.run(["ping", "-c1", "-W1", address], check=False).returncode for address in router]
        assert all(lost), "the recipe's guard drops everything that is not for the pool"
