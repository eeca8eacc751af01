# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others have on the node is as it was: while ours is there, and byte for byte once it is gone."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.kernel.foreign.worlds import CHAINS, LINKS, ROUTES, RULES, SETTINGS, TABLES, worlds
from tests.lab.snapshot import assert_same
from tests.support.examples import examples
from tests.support.modules import warnings_of
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, SHARED, STORAGE, declared
from tests.support.snapshots import assert_equivalent, without_managed

POOLS = "pool_routing"
OUR_ADDRESSES = SECOND["addresses"]
MANY = examples(20)


@pytest.mark.random
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_random_worlds(variant: str) -> None:
    @MANY
    @given(worlds())
    def come_and_go(world: tuple[str, ...]) -> None:
        with Node() as node:
            goes_by_untouched(node, world, variant)

    come_and_go()


@pytest.mark.parametrize("kind", [LINKS, SETTINGS, ROUTES, RULES, TABLES, CHAINS], ids=len)
def test_everything_of_one_kind_at_once(node: Node, kind: tuple[str, ...]) -> None:
    """Also proves that the node of the random worlds takes each of these."""
    lines = [f"iptables-nft-restore --noflush -w <<'EOF'\n{text}EOF\n" for text in kind] if kind is CHAINS else kind
    goes_by_untouched(node, tuple(lines), "nft")


def goes_by_untouched(node: Node, world: tuple[str, ...], variant: str) -> None:
    """Apply, apply again, change, remove."""
    node.host.run("\n".join(world))
    before = node.snapshot()
    theirs = without_managed(before)
    for parameters in (declared(EXTERNAL, STORAGE), declared({**EXTERNAL, "interface": "eth1"}, SECOND, SHARED)):
        assert node.change(POOLS, {**parameters, "iptables_variant": variant})["changed"]
        assert_same(theirs, without_managed(node.snapshot(), OUR_ADDRESSES))
        assert not node.change(POOLS, {**parameters, "iptables_variant": variant})["changed"]
    node.change(POOLS, {**ABSENT, "iptables_variant": variant})
    assert_same(before, node.snapshot())


def test_others_go_on_working_meanwhile(node: Node) -> None:
    """Others add and take away while ours is there; Calico puts itself first again."""
    with Node() as other:
        for one, parameters in ((node, declared(EXTERNAL, STORAGE, SECOND)), (other, None)):
            if parameters:
                one.change(POOLS, parameters)
            for line in (
                *ROUTES[:4],
                *RULES[2:5],
                *(f"iptables-nft-restore --noflush <<'EOF'\n{text}EOF\n" for text in CHAINS),
            ):
                one.host.run(line)
            if parameters:
                assert one.change(POOLS, parameters)["changed"], "our jump is first again"
                one.change(POOLS, ABSENT)
        assert_equivalent(other.snapshot(), node.snapshot())


def test_a_setting_that_somebody_changed_since_stays_theirs(node: Node) -> None:
    before = node.snapshot()
    node.change(POOLS, declared(EXTERNAL))
    node.host.set_sysctl("net/ipv4/conf/eth0.100/rp_filter", 2)
    node.change(POOLS, ABSENT)
    assert node.host.sysctl("net/ipv4/conf/eth0.100/rp_filter") == "2"
    node.host.set_sysctl("net/ipv4/conf/eth0.100/rp_filter", 0)
    assert_same(before, node.snapshot())


def test_what_is_there_already_stays_theirs(node: Node) -> None:
    """Somebody made what we would make by hand: it serves, and is still there afterwards."""
    node.host.run(
        "ip route add 10.9.8.0/24 dev eth1 scope link; ip address add 1.2.5.201/32 dev eth0.200 noprefixroute"
    )
    before = node.snapshot()
    parameters = declared(STORAGE, SECOND)
    answer = node.change(POOLS, parameters)
    assert any("1.2.5.201/32" in text and "left unchanged" in text for text in warnings_of(answer))
    assert answer["cases"][0]["case"] == "same_subnet", "the route that storage needs is there"
    assert not node.change(POOLS, parameters)["changed"]
    assert_same(without_managed(before), without_managed(node.snapshot()))
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())


def test_routes_of_others_over_a_link_whose_last_address_is_ours(node: Node) -> None:
    """The kernel throws them away with the address."""
    node.host.run(
        "ip route add 5.6.7.0/24 dev eth0.200 table 600; ip route add 5.6.8.0/24 via 5.6.7.1 dev eth0.200 onlink;"
        " ip route add 5.6.9.0/24 dev eth0.200 metric 7 mtu 1400 proto bird;"
        " ip route append 5.6.9.0/24 via 5.6.9.9 dev eth0.200 metric 7;"
        " ip route add local 5.6.10.0/24 dev eth0.200"
    )
    before = node.snapshot()
    node.change(POOLS, declared(SECOND))
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())


def test_routes_of_others_that_need_ours(node: Node) -> None:
    """Their gateway is in our network, their source is our address: the first stays, the second goes as the kernel has it."""
    node.change(POOLS, declared(SECOND))
    node.host.run(
        "ip route add 5.6.7.0/24 via 1.2.5.1 dev eth0.200; ip route add 5.6.8.0/24 via 1.2.5.1 dev eth0.200 src 1.2.5.201"
    )
    node.change(POOLS, ABSENT)
    assert node.host.run("ip route show dev eth0.200").stdout.strip() == "5.6.7.0/24 via 1.2.5.1 onlink"


def test_a_network_that_the_kernel_has_attached_already(node: Node) -> None:
    """The node has an address of the link for IPv4, and none for IPv6."""
    node.host.run("ip address add 10.9.8.11/24 dev eth1")
    before = node.snapshot()
    parameters = declared({"name": "both", "networks": ["10.9.8.0/24", "fd00:9:8::/64"], "interface": "eth1"})
    commands = node.change(POOLS, parameters)["commands"]
    assert [line for line in commands if " route " in line] == [
        "ip -6 route add fd00:9:8::/64 dev eth1 table main protocol 77"
    ]
    assert not node.change(POOLS, parameters)["changed"]
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())


def test_a_foreign_route_in_the_place_of_ours_is_refused(node: Node) -> None:
    node.host.run("ip route add 10.9.8.0/24 via 172.16.0.1")
    answer = node.refuse(POOLS, declared(EXTERNAL, STORAGE))
    assert "10.9.8.0/24 via 172.16.0.1" in answer["msg"]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_comments_of_others_with_anything_in_them(node: Node, variant: str) -> None:
    """What looks like the end of a line, and then like a chain of ours, is neither."""
    for letter in ("\n", "\r", "\x0b", "\x85", "\u2028"):
        comment = f"x{letter}:HOMEWARD-ghost - [0:0]"
        rule = ["-t", "mangle", "-A", "FORWARD", "-m", "comment", "--comment", comment, "-j", "ACCEPT"]
        node.host.run([f"iptables-{variant}", *rule])
    before = node.snapshot()
    parameters = {**declared(EXTERNAL), "iptables_variant": variant}
    assert node.change(POOLS, parameters)["changed"]
    assert not node.change(POOLS, parameters)["changed"]
    node.change(POOLS, {**ABSENT, "iptables_variant": variant})
    assert_same(before, node.snapshot())
