# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign state is unchanged while managed state is on the node, and byte for byte after its removal."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.kernel.foreign.worlds import CHAINS, LINKS, ROUTES, RULES, SETTINGS, TABLES, worlds
from tests.lab.snapshot import assert_same
from tests.support.examples import examples
from tests.support.modules import warnings_of
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, SHARED, STORAGE, declared
from tests.support.snapshots import assert_equivalent, unchanged, without_managed

POOLS = "pool_routing"
MANAGED_ADDRESSES = SECOND["addresses"]
MANY = examples(20)


@pytest.mark.random
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_random_worlds(variant: str) -> None:
    @MANY
    @given(worlds())
    def apply_and_remove(world: tuple[str, ...]) -> None:
        with Node() as node:
            assert_foreign_unchanged(node, world, variant)

    apply_and_remove()


@pytest.mark.parametrize("kind", [LINKS, SETTINGS, ROUTES, RULES, TABLES, CHAINS], ids=len)
def test_everything_of_one_kind_at_once(node: Node, kind: tuple[str, ...]) -> None:
    """Also shows that the node of the random worlds accepts each of these."""
    lines = [f"iptables-nft-restore --noflush -w <<'EOF'\n{text}EOF\n" for text in kind] if kind is CHAINS else kind
    assert_foreign_unchanged(node, tuple(lines), "nft")


def assert_foreign_unchanged(node: Node, world: tuple[str, ...], variant: str) -> None:
    """Assert that applying, applying again, changing and removing pools changes nothing of these."""
    node.host.run("\n".join(world))
    before = node.snapshot()
    foreign = without_managed(before)
    for parameters in (declared(EXTERNAL, STORAGE), declared({**EXTERNAL, "interface": "eth1"}, SECOND, SHARED)):
        assert node.change(POOLS, {**parameters, "iptables_variant": variant})["changed"]
        assert_same(foreign, without_managed(node.snapshot(), MANAGED_ADDRESSES))
        assert not node.change(POOLS, {**parameters, "iptables_variant": variant})["changed"]
    node.change(POOLS, {**ABSENT, "iptables_variant": variant})
    assert_same(before, node.snapshot())


def test_foreign_objects_added_while_pools_are_applied_stay(node: Node) -> None:
    """Also those of Calico, which inserts its own jump before the managed one."""
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
                assert one.change(POOLS, parameters)["changed"], "the managed jump is first again"
                one.change(POOLS, ABSENT)
        assert_equivalent(other.snapshot(), node.snapshot())


def test_a_sysctl_changed_by_someone_else_is_not_restored(node: Node) -> None:
    with unchanged(node):
        node.change(POOLS, declared(EXTERNAL))
        node.host.set_sysctl("net/ipv4/conf/eth0.100/rp_filter", 2)
        node.change(POOLS, ABSENT)
        assert node.host.sysctl("net/ipv4/conf/eth0.100/rp_filter") == "2"
        node.host.set_sysctl("net/ipv4/conf/eth0.100/rp_filter", 0)


def test_existing_objects_are_used_and_stay_foreign(node: Node) -> None:
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


def test_foreign_routes_over_a_link_whose_last_address_is_managed(node: Node) -> None:
    """The kernel deletes them with the address."""
    node.host.run(
        "ip route add 5.6.7.0/24 dev eth0.200 table 600; ip route add 5.6.8.0/24 via 5.6.7.1 dev eth0.200 onlink;"
        " ip route add 5.6.9.0/24 dev eth0.200 metric 7 mtu 1400 proto bird;"
        " ip route append 5.6.9.0/24 via 5.6.9.9 dev eth0.200 metric 7;"
        " ip route add local 5.6.10.0/24 dev eth0.200"
    )
    with unchanged(node):
        node.change(POOLS, declared(SECOND))
        node.change(POOLS, ABSENT)


def test_foreign_routes_that_need_managed_ones(node: Node) -> None:
    """One has a gateway in a managed network, and stays. One has a managed address as source: the kernel deletes it."""
    node.change(POOLS, declared(SECOND))
    node.host.run(
        "ip route add 5.6.7.0/24 via 1.2.5.1 dev eth0.200; ip route add 5.6.8.0/24 via 1.2.5.1 dev eth0.200 src 1.2.5.201"
    )
    node.change(POOLS, ABSENT)
    assert node.host.run("ip route show dev eth0.200").stdout.strip() == "5.6.7.0/24 via 1.2.5.1 onlink"


def test_a_network_with_a_connected_route_needs_no_other(node: Node) -> None:
    """The node has an address on the link for IPv4, and none for IPv6."""
    node.host.run("ip address add 10.9.8.11/24 dev eth1")
    with unchanged(node):
        parameters = declared({"name": "both", "networks": ["10.9.8.0/24", "fd00:9:8::/64"], "interface": "eth1"})
        commands = node.change(POOLS, parameters)["commands"]
        assert [line for line in commands if " route " in line] == [
            "ip -6 route add fd00:9:8::/64 dev eth1 table main protocol 77"
        ]
        assert not node.change(POOLS, parameters)["changed"]
        node.change(POOLS, ABSENT)


def test_a_foreign_route_to_a_pools_network_is_refused(node: Node) -> None:
    node.host.run("ip route add 10.9.8.0/24 via 172.16.0.1")
    answer = node.refuse(POOLS, declared(EXTERNAL, STORAGE))
    assert "10.9.8.0/24 via 172.16.0.1" in answer["msg"]


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_foreign_comments_may_contain_anything(node: Node, variant: str) -> None:
    """What looks like a line break and a managed chain behind it is neither."""
    for letter in ("\n", "\r", "\x0b", "\x85", "\u2028"):
        comment = f"x{letter}:HOMEWARD-ghost - [0:0]"
        rule = ["-t", "mangle", "-A", "FORWARD", "-m", "comment", "--comment", comment, "-j", "ACCEPT"]
        node.host.run([f"iptables-{variant}", *rule])
    with unchanged(node):
        parameters = {**declared(EXTERNAL), "iptables_variant": variant}
        assert node.change(POOLS, parameters)["changed"]
        assert not node.change(POOLS, parameters)["changed"]
        node.change(POOLS, {**ABSENT, "iptables_variant": variant})
