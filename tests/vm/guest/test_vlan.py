# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VLAN link of a pool, on a trunk with real 802.1Q frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Host, Lab, LabOptions
from tests.lab.delivery import all_cells, assert_delivered
from tests.support.managers import CATCH_ALL, networkd
from tests.support.modules import change, run, warnings_of

from . import nodes
from .nodes import VLAN, Baseline, apply, declared, link, refusal, vlan_of

pytestmark = pytest.mark.usefixtures("vlan")
ALIAS = "homeward.metallb_routing"


@pytest.fixture(scope="module")
def lab(vlan: None) -> Iterator[Lab]:  # noqa: ARG001 - asks for the feature before the lab does
    """Nodes with eth0 as a trunk and strict source validation."""
    with Lab(LabOptions(prefix="homeward-vlan", vlan="real", rp_filter=1)) as running:
        yield running


@pytest.fixture
def unconfigured(lab: Lab, baseline: Baseline) -> Iterator[Host]:
    """A node with a second parent link. A test that uses it directly must leave the node unchanged."""
    host = lab.host("node1")
    host.run("ip link add name trunk2 type dummy; ip link set trunk2 up")
    try:
        yield host
        host.run("ip link del trunk2")
        assert baseline.changes(host) == ""
    finally:
        for name in ("trunk2", "eth0.100", "other0"):
            host.run(["ip", "link", "del", name], check=False)


@pytest.fixture
def node(unconfigured: Host) -> Iterator[Host]:
    """The same node; after the test, pool_routing removes the configuration."""
    yield unconfigured
    apply(unconfigured, declared("absent"))


def mtu_of(node: Host, name: str = "eth0.100") -> int:
    return int(link(node, name)["mtu"])


# --- the link itself


def test_link_is_created_and_removed(node: Host) -> None:
    before = node.snapshot()
    answer = apply(node, declared())
    made = link(node, "eth0.100")
    assert vlan_of(node, "eth0.100") == ("eth0", 100, "802.1Q")
    assert (made["ifalias"], made["mtu"], "UP" in made["flags"]) == (ALIAS, 1500, True)
    assert node.sysctl("net/ipv4/conf/eth0.100/src_valid_mark") == "1"
    assert answer["changed"]
    assert not apply(node, declared())["changed"]
    assert apply(node, declared("absent"))["changed"]
    assert before.difference(node.snapshot()) == "", "removal left something behind"


def test_a_vlan_on_a_vlan_of_the_same_run(node: Host) -> None:
    """In any order of declaration the lower link is created first and removed last."""
    inner = {
        "name": "inner",
        "networks": ["10.9.8.0/24"],
        "interface": "a.inner",
        "vlan": {"parent": "eth0.100", "id": 7},
    }
    before = node.snapshot()
    both = declared()
    both["pools"].append(inner)
    assert apply(node, both)["changed"]
    assert vlan_of(node, "a.inner") == ("eth0.100", 7, "802.1Q")
    assert "UP" in link(node, "a.inner")["flags"]
    assert not apply(node, {**both, "pools": both["pools"][::-1]})["changed"]
    apply(node, declared("absent"))
    assert before.difference(node.snapshot()) == "", "removal left something behind"


def test_networkd_is_told_before_the_link_exists(node: Host, tmp_path: Path) -> None:
    """And after it is removed. A run that changes nothing starts no program of a network manager."""
    log = tmp_path / "log"
    fake = networkd("eth0.100", log)
    change(node, "pool_routing", declared(), before=fake)
    assert log.read_text() == "networkctl reload: no link\n"
    assert "Name=eth0.100\n" in node.output("cat /run/systemd/network/00-00-homeward-metallb-routing.network")
    assert not change(node, "pool_routing", declared(), before=fake)["changed"]
    assert log.read_text() == "networkctl reload: no link\n"
    change(node, "pool_routing", declared("absent"), before=fake)
    assert log.read_text() == "networkctl reload: no link\n" * 2
    assert node.run("ls /run/systemd/network", check=False).stdout == ""


def test_a_link_that_networkd_takes_is_rolled_back(unconfigured: Host, tmp_path: Path) -> None:
    answer = run(unconfigured, "pool_routing", declared(), before=networkd("eth0.100", tmp_path / "log", "configuring"))
    assert (
        f"eth0.100 is managed by a network manager: systemd-networkd configures it as {CATCH_ALL} says" in answer["msg"]
    )
    assert "The change was rolled back; the node is as before." in answer["msg"]
    assert (tmp_path / "log").read_text() == "networkctl reload: no link\n" * 2
    assert unconfigured.run("ls /run/systemd/network", check=False).stdout == ""


def test_an_existing_link_that_networkd_takes_is_a_warning(node: Host, tmp_path: Path) -> None:
    change(node, "pool_routing", declared(), before=networkd("eth0.100", tmp_path / "log"))
    answer = change(node, "pool_routing", declared(), before=networkd("eth0.100", tmp_path / "log", "configured"))
    assert not answer["changed"]
    assert [text for text in warnings_of(answer) if text.startswith("eth0.100 is managed by a network manager")]


def test_check_mode_creates_no_link_and_predicts_the_commands(node: Host) -> None:
    before = node.snapshot()
    predicted = apply(node, declared(), check=True)
    assert before.difference(node.snapshot()) == ""
    done = apply(node, declared())
    assert (predicted["commands"], predicted["diff"]) == (done["commands"], done["diff"])
    assert any(line.startswith("ip link add link eth0 name eth0.100 type vlan id 100") for line in done["commands"])


def test_commands_create_the_same_link(lab: Lab, baseline: Baseline, node: Host) -> None:
    commands = apply(node, declared())["commands"]
    other = lab.host("node2")
    try:
        other.run("\n".join(commands))
        for show in ("ip rule", "ip -6 rule", "ip route show table 7701", "ip -6 route show table 7701"):
            assert other.output(show) == node.output(show), show
        assert [link(host, "eth0.100")["ifalias"] for host in (node, other)] == [ALIAS] * 2
        assert vlan_of(other, "eth0.100") == vlan_of(node, "eth0.100")
        again = apply(other, declared())
        assert not again["changed"], again["commands"]
    finally:
        apply(other, declared("absent"))
    assert baseline.changes(other) == ""


# --- changes of the declaration


def test_changing_the_mtu_keeps_the_link(node: Host) -> None:
    apply(node, declared())
    index = link(node, "eth0.100")["ifindex"]
    assert apply(node, declared(vlan={**VLAN, "mtu": 1400}))["changed"]
    assert (mtu_of(node), link(node, "eth0.100")["ifindex"]) == (1400, index)
    assert not apply(node, declared(vlan={**VLAN, "mtu": 1400}))["changed"]
    assert not apply(node, declared())["changed"], "without a declared MTU, the current one is kept"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [({"id": 200}, ("eth0", 200, "802.1Q")), ({"parent": "trunk2"}, ("trunk2", 100, "802.1Q"))],
    ids=["id", "parent"],
)
def test_changing_id_or_parent_recreates_the_link(
    node: Host, changed: dict[str, Any], expected: tuple[str, int, str]
) -> None:
    apply(node, declared())
    desired = declared(vlan={**VLAN, **changed})
    predicted = apply(node, desired, check=True)
    done = apply(node, desired)
    assert predicted["commands"] == done["commands"]
    assert vlan_of(node, "eth0.100") == expected
    assert node.sysctl("net/ipv4/conf/eth0.100/src_valid_mark") == "1", "it was lost with the old link"
    for family, default in (("-4", "1.2.3.1"), ("-6", "fd00:1:2:3::1")):
        assert f"via {default} dev eth0.100" in node.output(f"ip {family} route show table 7701")
    assert not apply(node, desired)["changed"]


# --- refusals before anything is written


@pytest.mark.parametrize(
    ("prepare", "pool", "words"),
    [
        ("ip link set trunk2 down", {"vlan": {"parent": "trunk2", "id": 100}}, ("vlan.parent", "trunk2 is down")),
        ("true", {"vlan": {"parent": "nothing0", "id": 100}}, ("vlan.parent", "no interface nothing0")),
        ("true", {"vlan": {**VLAN, "mtu": 1501}}, ("vlan.mtu", "1501 is larger than the MTU of eth0")),
        (
            "ip link add link eth0 name other0 type vlan id 100",
            {},
            ("pools[0].vlan", "VLAN 100 on eth0 already exists as other0"),
        ),
        (
            "ip link add link eth0 name eth0.100 type vlan id 300; ip link set eth0.100 up",
            {},
            ("pools[0].vlan", "managed by someone else, as VLAN 300 on eth0"),
        ),
        (
            "ip link add link eth0 name eth0.100 type vlan proto 802.1ad id 100; ip link set eth0.100 up",
            {},
            ("pools[0].vlan", "managed by someone else, as 802.1ad VLAN 100 on eth0"),
        ),
    ],
    ids=["parent-down", "parent-missing", "mtu-above-parent", "twin", "foreign-of-another-id", "foreign-of-802.1ad"],
)
def test_refused(unconfigured: Host, prepare: str, pool: dict[str, Any], words: tuple[str, ...]) -> None:
    """Nothing is written: after undoing ``prepare`` the node is unchanged."""
    unconfigured.run(prepare)
    message = refusal(unconfigured, declared(**pool))
    for word in words:
        assert word in message
    for created in re.findall(r"name (\S+) type vlan", prepare):
        unconfigured.run(["ip", "link", "del", created])


# --- foreign links


def test_foreign_link_is_unchanged(node: Host) -> None:
    node.run("ip link add link eth0 name eth0.100 type vlan id 100; ip link set eth0.100 up")
    before = link(node, "eth0.100")
    assert apply(node, declared())["changed"]
    assert link(node, "eth0.100") == before, "not even an alias is added"
    apply(node, declared("absent"))
    assert link(node, "eth0.100") == before
    node.run("ip link del eth0.100")


# --- packets


def test_all_services_are_reached_after_apply(lab: Lab, baseline: Baseline) -> None:
    """All clients and services, both protocols and families. tests/vm/node does the same with the playbook."""
    nodes.apply_everywhere(lab, declared())
    deliveries = nodes.deliver(lab, all_cells(lab), "policy_routing, VLAN link by apply, kube-proxy iptables")
    assert_delivered(lab, deliveries)
    nodes.apply_everywhere(lab, declared("absent"))
    assert [baseline.changes(host) for host in lab.nodes] == ["", ""]


def test_no_service_is_reached_without_apply(lab: Lab) -> None:
    """The control: with only the link, created by hand, clients outside the nodes reach nothing."""
    for host in lab.nodes:
        host.run("ip link add link eth0 name eth0.100 type vlan id 100; ip link set eth0.100 up")
    lab.restart_speakers()
    try:
        cells = all_cells(lab, clients=["outside", "onlink", "lan"], protocols=["tcp"], families=[4])
        deliveries = nodes.deliver(lab, cells, "only the link", nodes.LOST_TIMEOUT)
    finally:
        for host in lab.nodes:
            host.run("ip link del eth0.100")
    assert not any(delivery.reached for delivery in deliveries)
