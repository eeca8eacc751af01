# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links on which requests do not arrive, whose VLAN belongs to something else, or that do not forward packets."""

from __future__ import annotations

import pytest

from tests.support.modules import assert_error, warnings_of
from tests.support.node import Node
from tests.support.pools import EXTERNAL, declared

POOLS = "pool_routing"
VLAN = declared({**EXTERNAL, "interface": "eth1.300", "vlan": {"parent": "eth1", "id": 300}})
ON_ETH1 = declared({**EXTERNAL, "interface": "eth1"})


def test_a_vlan_on_the_port_of_a_bridge_is_refused(bare: Node) -> None:
    bare.host.run("ip link add br0 type bridge; ip link set eth1 master br0")
    answer = bare.refuse(POOLS, VLAN)
    assert_error(
        answer, "pools[0].vlan.parent", "eth1 is a port of the bridge br0, and a VLAN on it would take the frames"
    )
    assert "Declare parent: br0." in answer["msg"]
    assert_error(bare.refuse(POOLS, ON_ETH1), "pools[0].interface", "eth1 is a port of the bridge br0")


@pytest.mark.parametrize("kind", ["macvlan", "macvtap"])
def test_a_link_in_passthru_mode_is_refused(bare: Node, kind: str) -> None:
    bare.host.run(f"ip link add {kind}0 link eth1 type {kind} mode passthru")
    reason = f"eth1 is used by {kind}0 in passthru mode"
    assert_error(bare.refuse(POOLS, VLAN), "pools[0].vlan.parent", reason)
    assert_error(bare.refuse(POOLS, ON_ETH1), "pools[0].interface", reason)
    bare.host.run(f"ip link del {kind}0; ip link add {kind}0 link eth1 type {kind} mode bridge")
    assert bare.change(POOLS, ON_ETH1, check=True)["changed"]


def test_other_names_of_a_link_are_named(bare: Node) -> None:
    bare.host.run("ip link property add dev eth1 altname enp7s0 altname a-name-of-more-than-fifteen-characters")
    answer = bare.refuse(POOLS, declared({**EXTERNAL, "interface": "enp7s0"}))
    assert_error(answer, "pools[0].interface", "enp7s0 is another name of eth1")
    parent = {**EXTERNAL, "interface": "eth9", "vlan": {"parent": "enp7s0", "id": 300}}
    assert_error(bare.refuse(POOLS, declared(parent)), "pools[0].vlan.parent", "enp7s0 is another name of eth1")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("net/ipv4/conf/eth0.100/forwarding=0", "pools[0].interface: net/ipv4/conf/eth0.100/forwarding is 0"),
        ("net/ipv4/conf/eth0/forwarding=0", "pools[0].interface: net/ipv4/conf/eth0/forwarding is 0"),
        ("net/ipv4/ip_forward=0", "pools[0].interface: net/ipv4/ip_forward is 0"),
        ("net/ipv6/conf/all/forwarding=0", "pools[0].networks: net/ipv6/conf/all/forwarding is 0"),
        ("net/ipv4/conf/eth2/forwarding=0", ""),
        ("net/ipv6/conf/eth0.100/forwarding=0", ""),
    ],
)
def test_links_that_do_not_forward_are_a_warning(bare: Node, command: str, named: str) -> None:
    bare.host.run(f"sysctl -qw net/ipv6/conf/all/forwarding=1; sysctl -qw {command}")
    for _attempt in ("changed", "unchanged"):
        texts = [text for text in warnings_of(bare.change(POOLS, declared(EXTERNAL))) if "does not forward" in text]
        assert [named in text for text in texts] == ([True] if named else []), texts
