# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events match, and which do not: each change is made alone, so that no other event announces it too."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import events
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.event_filter import EventFilter
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.events import (
    CHAINS,
    EVERYTHING,
    NETLINK,
    Changes,
    EventMonitor,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.originators import Originators
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.sockets import (
    NETLINK_NETFILTER,
    listen,
)
from tests.support.namespace import Namespace

MANAGED = EventFilter(
    protocol=77,
    interfaces=frozenset({"eth0", "eth0.100"}),
    tables=frozenset({254, 100, 7701}),
    main_networks=frozenset({"10.9.8.0/24", "fd00:98::/64", "0.0.0.0/0"}),
    chain_tables=frozenset({"mangle"}),
    last_priority=2999,
)
#: Created before the monitor. The links have no IPv6, because the events of its addresses and routes would match, too.
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
ip rule add priority 5099 lookup 99
ip rule add priority 97 lookup 97
nft add table ip mangle; nft add chain ip mangle HOMEWARD-X; nft add table ip nat
"""
MATCHING = {
    "link down": ("ip link set eth0 down", NETLINK),
    "link with another MTU": ("ip link set eth0 mtu 1400", NETLINK),
    "link created with a name of the filter": ("ip link add eth0.100 type bridge", NETLINK),
    "link renamed to a name of the filter": ("ip link set pod1 name eth0.100", NETLINK),
    "link deleted": ("ip link del eth0", NETLINK),
    "address added": ("ip address add 192.0.2.1/32 dev eth0 noprefixroute", NETLINK),
    "address deleted": ("ip address del 10.0.0.1/16 dev eth0", NETLINK),
    "managed route deleted from the main table": ("ip route del 10.9.9.0/24", NETLINK),
    "managed route replaced in the main table": ("ip route replace 10.9.8.0/24 dev pod0", NETLINK),
    "foreign route to the destination of a managed default route": ("ip route add default dev pod0", NETLINK),
    "route in a table with managed routes": ("ip route add 192.0.2.0/24 dev eth0 table 7701", NETLINK),
    "route in such a table below 256": ("ip route add 192.0.2.0/24 dev eth0 table 100", NETLINK),
    "IPv6 route in a table with managed routes": ("ip -6 route add blackhole fd00:1::/64 table 7701", NETLINK),
    "foreign IPv6 route to the destination of a managed one": ("ip -6 route add blackhole fd00:98::/64", NETLINK),
    "rule deleted": ("ip rule del priority 2800", NETLINK),
    "foreign rule added before the managed ones": ("ip -6 rule add priority 98 lookup 98", NETLINK),
    "foreign rule deleted before the managed ones": ("ip rule del priority 97", NETLINK),
    "managed rule added": ("ip -6 rule add priority 2800 lookup 7701 protocol 77", NETLINK),
    "rp_filter of a link": ("sysctl -qw net/ipv4/conf/eth0/rp_filter=2", NETLINK),
    "rp_filter of all links": ("sysctl -qw net/ipv4/conf/all/rp_filter=2", NETLINK),
    "chain flushed": ("nft add rule ip mangle HOMEWARD-X accept", CHAINS),
    "table deleted": ("nft delete table ip mangle", CHAINS),
    "ruleset flushed": ("nft flush ruleset", CHAINS),
}
IGNORED = {
    "link of a pod": "ip link add pod7 type bridge; ip link set pod7 up; ip link set pod7 down; ip link del pod7",
    "address of a pod": "ip address add 192.0.2.1/32 dev pod0 noprefixroute",
    "route to a pod": "ip route add 192.0.2.0/24 dev pod0; ip route del 192.0.2.0/24",
    "other route of the main table deleted": "ip route del 10.9.7.0/24 metric 5",
    "route of another length": "ip route add 10.9.8.0/25 dev pod0",
    "route in another table": "ip route add 10.9.8.0/24 dev pod0 table 7702; ip route add 10.9.8.0/24 dev pod0 table 99",
    "foreign rule behind the managed ones": "ip rule del priority 5099; ip rule add priority 4294967295 lookup 98",
    "setting of another link": "sysctl -qw net/ipv4/conf/pod0/rp_filter=2 net/ipv4/conf/default/rp_filter=2",
    "chain of another table": "nft add chain ip nat KUBE; nft add rule ip nat KUBE accept; nft delete table ip nat",
}


def shell(text: str) -> None:
    subprocess.run(["sh", "-ec", text], check=True)


def changes_of(namespace: Namespace, act: Callable[[], object]) -> Changes:
    """Return the changes that the monitor reports for an action; the kernel queues the events before the action ends."""

    def monitored() -> Changes:
        shell(WORLD)
        monitor = EventMonitor()
        try:
            monitor.set_filter(MANAGED)
            act()
            return monitor.wait(0)
        finally:
            monitor.close()

    changes: Changes = namespace.call(monitored)
    return changes


def test_routes_are_monitored_where_a_policy_forbids_the_socket_of_nftables(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_netfilter(protocol: int, *arguments: Any) -> socket.socket:
        if protocol == NETLINK_NETFILTER:
            raise PermissionError(13, "Permission denied")
        return listen(protocol, *arguments)

    monkeypatch.setattr(events, "listen", refuse_netfilter)
    changes = changes_of(namespace, lambda: shell("ip rule del priority 2800; nft flush ruleset"))
    assert changes.kinds == NETLINK


@pytest.mark.parametrize(("line", "kinds"), MATCHING.values(), ids=MATCHING)
def test_a_relevant_change_is_reported(namespace: Namespace, line: str, kinds: frozenset[str]) -> None:
    changes = changes_of(namespace, lambda: shell(line))
    assert changes.kinds == kinds
    assert changes.at > 0


@pytest.mark.parametrize("line", IGNORED.values(), ids=IGNORED)
def test_an_irrelevant_change_is_ignored(namespace: Namespace, line: str) -> None:
    changes = changes_of(namespace, lambda: shell(line))
    assert (changes.kinds, changes.originators, changes.at) == (set(), {}, 0.0)


def test_the_indexes_of_renamed_links_are_followed(namespace: Namespace) -> None:
    def monitored() -> list[set[str]]:
        shell(WORLD)
        monitor = EventMonitor()
        found = []
        monitor.set_filter(MANAGED)
        for line in (
            "ip link set pod0 down; ip link set pod0 name eth0.100; ip link set eth0.100 up",
            "ip address add 192.0.2.1/32 dev eth0.100 noprefixroute",
            "ip link set eth0.100 down; ip link set eth0.100 name pod9; ip link set pod9 up",
            "ip address add 192.0.2.2/32 dev pod9 noprefixroute",
        ):
            shell(line)
            found.append(monitor.wait(0).kinds)
        monitor.close()
        return found

    assert namespace.call(monitored) == [NETLINK, NETLINK, NETLINK, set()]


def test_lost_events_are_a_change_of_everything(namespace: Namespace) -> None:
    def flood() -> None:
        lines = [f"route {word} 192.0.2.{n} dev pod0" for n in range(250) for word in ("add", "del")] * 60
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)

    assert changes_of(namespace, flood).kinds == EVERYTHING


@pytest.mark.parametrize(
    "damaged", [b"\x01", bytes(16), struct.pack("=IHHII", 17, 24, 0, 0, 0), bytes(200 << 10)], ids=len
)
def test_a_damaged_datagram_is_a_change_of_everything(namespace: Namespace, damaged: bytes) -> None:
    def monitored() -> set[str]:
        monitor = EventMonitor()
        sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.send(damaged)
        (source, *_others) = monitor._sources.values()  # noqa: SLF001 - the kernel sends no damaged datagrams
        changes = Changes()
        monitor._drain(replace(source, socket=receiver), changes, Originators())  # noqa: SLF001
        monitor.close()
        return changes.kinds

    assert namespace.call(monitored) == EVERYTHING


def test_the_process_that_changed_chains_is_named(namespace: Namespace) -> None:
    originators = changes_of(namespace, lambda: shell("nft delete table ip mangle")).originators
    assert [name.partition(" (pid ")[0] for name in originators] == ["nft"]
