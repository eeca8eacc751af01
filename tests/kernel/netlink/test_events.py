# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes the guard, and what does not: each change is made by itself, so that no other event tells of it too."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.event_filter import EventFilter
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.events import (
    CHAINS,
    EVERYTHING,
    NETLINK,
    Changes,
    EventMonitor,
)
from tests.support.namespace import Namespace

OURS = EventFilter(
    protocol=77,
    interfaces=frozenset({"eth0", "eth0.100"}),
    tables=frozenset({254, 100, 7701}),
    main_networks=frozenset({"10.9.8.0/24", "fd00:98::/64", "0.0.0.0/0"}),
    chain_tables=frozenset({"mangle"}),
)
#: Made before anybody listens. No IPv6 on the links, because its addresses and routes would tell of them, too.
WORLD = """
sysctl -qw net/ipv6/conf/all/disable_ipv6=0 net/ipv6/conf/default/disable_ipv6=1
ip link add pod0 type veth peer name pod1
ip link set lo up; ip link set pod0 up
sysctl -qw net/ipv6/conf/eth0/disable_ipv6=1
ip route add 10.9.8.0/24 dev eth0 proto 77
ip route add 10.9.9.0/24 dev eth0 proto 77
ip route add 10.9.8.0/24 dev eth0 table 7701
ip route add 10.9.7.0/24 dev eth0 metric 5
ip rule add priority 2800 lookup 7701 protocol 77
ip rule add priority 99 lookup 99
nft add table ip mangle; nft add chain ip mangle HOMEWARD-X; nft add table ip nat
"""
CONCERNS = {
    "link down": ("ip link set eth0 down", NETLINK),
    "link with another MTU": ("ip link set eth0 mtu 1400", NETLINK),
    "link made under a name of ours": ("ip link add eth0.100 type bridge", NETLINK),
    "link renamed to a name of ours": ("ip link set pod1 name eth0.100", NETLINK),
    "link deleted": ("ip link del eth0", NETLINK),
    "address added": ("ip address add 192.0.2.1/32 dev eth0 noprefixroute", NETLINK),
    "address deleted": ("ip address del 10.0.0.1/16 dev eth0", NETLINK),
    "route of ours deleted from the main table": ("ip route del 10.9.9.0/24", NETLINK),
    "route of ours replaced in the main table": ("ip route replace 10.9.8.0/24 dev pod0", NETLINK),
    "route in the place of a default route of ours": ("ip route add default dev pod0", NETLINK),
    "route in a table of ours": ("ip route add 192.0.2.0/24 dev eth0 table 7701", NETLINK),
    "route in a small table of ours": ("ip route add 192.0.2.0/24 dev eth0 table 100", NETLINK),
    "IPv6 route in a table of ours": ("ip -6 route add blackhole fd00:1::/64 table 7701", NETLINK),
    "IPv6 route in the place of ours": ("ip -6 route add blackhole fd00:98::/64", NETLINK),
    "rule deleted": ("ip rule del priority 2800", NETLINK),
    "rule of ours added": ("ip -6 rule add priority 2800 lookup 7701 protocol 77", NETLINK),
    "rp_filter of a link": ("sysctl -qw net/ipv4/conf/eth0/rp_filter=2", NETLINK),
    "rp_filter of all links": ("sysctl -qw net/ipv4/conf/all/rp_filter=2", NETLINK),
    "chain flushed": ("nft add rule ip mangle HOMEWARD-X accept", CHAINS),
    "table deleted": ("nft delete table ip mangle", CHAINS),
    "ruleset flushed": ("nft flush ruleset", CHAINS),
}
DOES_NOT = {
    "link of a pod": "ip link add pod7 type bridge; ip link set pod7 up; ip link set pod7 down; ip link del pod7",
    "address of a pod": "ip address add 192.0.2.1/32 dev pod0 noprefixroute",
    "route to a pod": "ip route add 192.0.2.0/24 dev pod0; ip route del 192.0.2.0/24",
    "other route of the main table deleted": "ip route del 10.9.7.0/24 metric 5",
    "route of another length": "ip route add 10.9.8.0/25 dev pod0",
    "route in another table": "ip route add 10.9.8.0/24 dev pod0 table 7702; ip route add 10.9.8.0/24 dev pod0 table 99",
    "rule of somebody else": "ip rule del priority 99; ip rule add priority 98 lookup 98 protocol static",
    "setting of another link": "sysctl -qw net/ipv4/conf/pod0/rp_filter=2 net/ipv4/conf/default/rp_filter=2",
    "chain of another table": "nft add chain ip nat KUBE; nft add rule ip nat KUBE accept; nft delete table ip nat",
}


def shell(text: str) -> None:
    subprocess.run(["sh", "-ec", text], check=True)


def hear(namespace: Namespace, act: Callable[[], object], interests: EventFilter = OURS) -> Changes:
    """Return what a watch hears of the action; the kernel has told of it before the action ends."""

    def listen() -> Changes:
        shell(WORLD)
        watch = EventMonitor()
        try:
            watch.set_filter(interests)
            act()
            return watch.wait(0)
        finally:
            watch.close()

    heard: Changes = namespace.call(listen)
    return heard


@pytest.mark.parametrize(("line", "kinds"), CONCERNS.values(), ids=CONCERNS)
def test_a_change_of_ours_is_heard(namespace: Namespace, line: str, kinds: frozenset[str]) -> None:
    heard = hear(namespace, lambda: shell(line))
    assert heard.kinds == kinds
    assert heard.at > 0


@pytest.mark.parametrize("line", DOES_NOT.values(), ids=DOES_NOT)
def test_what_is_not_ours_wakes_nobody(namespace: Namespace, line: str) -> None:
    heard = hear(namespace, lambda: shell(line))
    assert (heard.kinds, heard.originators, heard.at) == (set(), {}, 0.0)


def test_links_that_become_ours_while_we_listen_are_known_by_number(namespace: Namespace) -> None:
    def listen() -> list[set[str]]:
        shell(WORLD)
        watch = EventMonitor()
        found = []
        watch.set_filter(OURS)
        for line in (
            "ip link set pod0 down; ip link set pod0 name eth0.100; ip link set eth0.100 up",
            "ip address add 192.0.2.1/32 dev eth0.100 noprefixroute",
            "ip link set eth0.100 down; ip link set eth0.100 name pod9; ip link set pod9 up",
            "ip address add 192.0.2.2/32 dev pod9 noprefixroute",
        ):
            shell(line)
            found.append(watch.wait(0).kinds)
        watch.close()
        return found

    assert namespace.call(listen) == [NETLINK, NETLINK, NETLINK, set()]


def test_more_events_than_fit_are_an_event_of_everything(namespace: Namespace) -> None:
    def flood() -> None:
        lines = [f"route {word} 192.0.2.{n} dev pod0" for n in range(250) for word in ("add", "del")] * 60
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)

    assert hear(namespace, flood).kinds == EVERYTHING


def test_who_changed_the_chains_is_told(namespace: Namespace) -> None:
    originators = hear(namespace, lambda: shell("nft delete table ip mangle")).originators
    assert [name.partition(" (pid ")[0] for name in originators] == ["nft"]
