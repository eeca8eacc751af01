# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules match a packet, as the kernel sees it: its answer comes from the rule's table exactly if the rule matches."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.diagnosis.differences import matches
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.route_lookup import look_up
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import read_rules
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route_lookup import (
    RouteAnswer,
    RouteQuestion,
)
from tests.support.namespace import Namespace
from tests.support.steps import inside

TABLE = 300
#: For IPv4 and IPv6: the node's own address, an address behind eth1, and a client
ADDRESSES = {"ipv4": ("10.0.0.1", "10.1.0.9", "9.9.9.9"), "ipv6": ("fd00::1", "fd01::9", "2001:db8::9")}
SELECTORS = (
    "from all",
    "from {own}",
    "from {inner}",
    "to {client}",
    "not to {client}",
    "iif lo",
    "iif eth1",
    "iif eth0",
    "oif eth1",
    "fwmark 0x100/0xf00",
    "not fwmark 0x100/0xf00",
    "fwmark 0x0/0xf00",
    "uidrange 0-10",
    "uidrange 5-10",
    "from {own} fwmark 0x300/0x200",
    "ipproto tcp",
    "dport 80",
)


def questions(family: str) -> list[RouteQuestion]:
    own, inner, client = ADDRESSES[family]
    found = [RouteQuestion(family, client, mark=mark, uid=uid) for mark in (0, 0x100, 0x300) for uid in (0, 7)]
    found += [RouteQuestion(family, client, own, mark=mark) for mark in (0, 0x300)]
    found += [RouteQuestion(family, client, inner, "eth1", mark) for mark in (0, 0x100)]
    return [*found, RouteQuestion(family, client, oif="eth1")]


@pytest.fixture
def prepared(namespace: Namespace) -> Namespace:
    namespace.ip(
        "link add eth1 type veth peer name peer1",
        "link set eth1 up",
        "link set peer1 up",
        "address add 10.1.0.1/24 dev eth1",
        "address add fd01::1/64 dev eth1 nodad",
        "route add default via 10.0.0.254 dev eth0",
        f"route add default via 10.0.0.253 dev eth0 table {TABLE}",
        f"route add default dev eth1 table {TABLE} metric 5",
        "route add default via fd00::fe dev eth0",
        f"route add default via fd00::fd dev eth0 table {TABLE}",
        f"route add default via fd01::fd dev eth1 table {TABLE} metric 2000",
        "route add default via fd01::fe dev eth1 metric 2000",
    )
    namespace.run("sysctl -q -w net/ipv4/ip_forward=1 net/ipv6/conf/all/forwarding=1")
    namespace.run("sysctl -q -w net/ipv4/conf/all/rp_filter=0 net/ipv4/conf/eth1/rp_filter=0")
    return namespace


@pytest.mark.parametrize("family", ADDRESSES)
@pytest.mark.parametrize("selector", SELECTORS)
def test_a_rule_matches_as_in_the_kernel(prepared: Namespace, selector: str, family: str) -> None:
    own, inner, client = ADDRESSES[family]
    words = selector.format(own=own, inner=inner, client=client)
    asked = questions(family)
    prepared.run(f"ip -{family[-1]} rule add {words} lookup {TABLE} priority 100")

    def here(netlink: Rtnetlink) -> tuple[list[Rule], tuple[RouteAnswer, ...]]:
        _managed, foreign = read_rules(netlink, Ownership())
        rules = [rule for rule in foreign if rule.priority == 100]
        return rules, look_up(netlink, asked, dict(socket.if_nameindex()))

    (rule,), answers = prepared.call(inside, here)
    assert [matches(rule, question) for question in asked] == [answer.table == TABLE for answer in answers], rule
