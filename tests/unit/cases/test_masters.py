# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links whose packets another link receives, and VLANs that would take frames away: refused, with a remedy that helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Interface, Node
from tests.unit.nodes import cluster_node, declaration, pool, vlan

NEW = pool(interface="eth1.100", vlan=vlan("eth1", 100))


def node_with(*links: Interface, **of_eth1: Any) -> Node:
    node = cluster_node()
    eth1 = replace(node.interfaces["eth1"], **of_eth1)
    interfaces = {**node.interfaces, "eth1": eth1, **{link.name: link for link in links}}
    sysctls = {**node.sysctls, **{f"net/ipv6/conf/{link.name}/disable_ipv6": "0" for link in links}}
    return replace(node, interfaces=interfaces, sysctls=sysctls)


def link(name: str, kind: str, **values: Any) -> Interface:
    return Interface(name, 10, True, kind, **values)


BRIDGE, BOND, BLUE = link("br0", "bridge"), link("bond0", "bond"), link("blue", "vrf")
TAP = link("tap1", "macvtap", parent="eth1", mode=8)
#: For a VLAN on eth1: the node, and the words of the error's reason and remedy.
PARENTS = {
    "bridge": (
        node_with(BRIDGE, master="br0"),
        "eth1 is a port of the bridge br0, and a VLAN on it would take the frames with tag 100 away from what is behind br0",
        "Declare parent: br0. If it filters VLANs, add the VLAN first: bridge vlan add dev br0 vid 100 self.",
    ),
    "bond": (node_with(BOND, master="bond0"), "eth1 is a port of the bond bond0", "Declare parent: bond0."),
    "team": (node_with(link("t", "team"), master="t"), "eth1 is a port of the team t", "Declare parent: t."),
    "unknown master": (node_with(master="x0"), "eth1 is a port of x0", "Declare parent: x0."),
    "bond in a bridge": (
        node_with(replace(BOND, master="br0"), BRIDGE, master="bond0"),
        "eth1 is a port of the bond bond0",
        "Declare parent: br0. If it filters VLANs",
    ),
    "Open vSwitch": (
        node_with(link("ovs-system", "openvswitch"), master="ovs-system"),
        "eth1 is a port of Open vSwitch ovs-system",
        "(ovs-vsctl add-port BRIDGE NAME tag=100 -- set interface NAME type=internal)",
    ),
    "VRF": (node_with(BLUE, master="blue"), "eth1 is in the VRF blue", "Declare a link that is in no VRF"),
    "bond in a VRF": (
        node_with(replace(BOND, master="blue"), BLUE, master="bond0"),
        "eth1 is in the VRF blue",
        "Declare a link that is in no VRF",
    ),
    "a VRF": (node_with(kind="vrf"), "eth1 is a VRF", "Declare the link that carries the VLAN."),
    "passthru": (node_with(TAP), "eth1 is used by tap1 in passthru mode", "Declare another link"),
}
#: For a pool on eth1, likewise.
LINKS = {
    "bridge": (
        node_with(BRIDGE, master="br0"),
        "eth1 is a port of the bridge br0, which receives",
        "Declare interface: br0.",
    ),
    "bond in a bridge": (
        node_with(replace(BOND, master="br0"), BRIDGE, master="bond0"),
        "bond bond0",
        "interface: br0.",
    ),
    "Open vSwitch": (
        node_with(link("ovs-system", "openvswitch"), master="ovs-system"),
        "Open vSwitch",
        "BRIDGE NAME -- set",
    ),
    "VRF": (node_with(BLUE, master="blue"), "eth1 is in the VRF blue", "(ip link set dev eth1 nomaster)"),
    "bridge in a VRF": (
        node_with(replace(BRIDGE, master="blue"), BLUE, master="br0"),
        "eth1 is in the VRF blue",
        "Declare a link that is in no VRF",
    ),
    "a VRF": (node_with(kind="vrf"), "eth1 is a VRF", "Declare a link that is in no VRF."),
    "passthru": (node_with(TAP), "eth1 is used by tap1 in passthru mode", "remove that one first"),
    "masters in a circle": (
        node_with(replace(BOND, master="br0"), replace(BRIDGE, master="bond0"), master="bond0"),
        "eth1 is a port of the bond bond0",
        "Declare interface: br0.",
    ),
}


def refusal(node: Node, one: Any, path: str) -> str:
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(one), node)
    (error,) = caught.value.errors
    assert error.path == path
    return str(error)


@pytest.mark.parametrize("name", PARENTS)
def test_a_vlan_that_would_take_frames_away_is_refused(name: str) -> None:
    node, reason, remedy = PARENTS[name]
    text = refusal(node, NEW, "pools[0].vlan.parent")
    assert reason in text
    assert remedy in text
    managed = link("eth1.100", "vlan", parent="eth1", vlan_id=100, managed=True)
    with_link = replace(node, interfaces={**node.interfaces, "eth1.100": managed})
    assert refusal(
        with_link, pool(interface="eth1.100", vlan=vlan("eth1", 100), networks=("1.2.3.0/24",)), "pools[0].vlan.parent"
    )


def test_a_foreign_vlan_link_is_used_as_it_is() -> None:
    foreign = link("eth1.100", "vlan", parent="eth1", vlan_id=100)
    assert compile_node(declaration(NEW), node_with(BRIDGE, foreign, master="br0")).state.rules


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_receives_no_packets_is_refused(name: str) -> None:
    node, reason, remedy = LINKS[name]
    text = refusal(node, pool(interface="eth1"), "pools[0].interface")
    assert reason in text
    assert remedy in text


def test_macvlan_links_in_other_modes_share_their_parent() -> None:
    for mode in (1, 2, 4, 16):
        assert compile_node(declaration(NEW), node_with(replace(TAP, mode=mode))).state.rules


def test_the_other_names_of_a_link_are_named() -> None:
    node = node_with(altnames=("enp7s0", "enx0"))
    assert "enx0 is another name of eth1" in refusal(node, pool(interface="enx0"), "pools[0].interface")
    assert "Declare eth1." in refusal(node, pool(interface="enp7s0"), "pools[0].interface")
    other = pool(interface="eth9", vlan=vlan("enp7s0", 100))
    assert "enp7s0 is another name of eth1. Declare eth1." in refusal(node, other, "pools[0].vlan.parent")
    created = pool(interface="enp7s0", vlan=vlan("eth0", 7))
    assert "another name of eth1" in refusal(node, created, "pools[0].interface")
