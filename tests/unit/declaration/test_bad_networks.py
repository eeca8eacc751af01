# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks, ranges and addresses that are refused."""

from __future__ import annotations

import pytest

from tests.unit.declaration.flaws import Flaw, check, second

N = "pools[0].networks[2]"  # beside the two that are valid


def network(text: object, *words: str) -> Flaw:
    return Flaw({N: text}, N, words)


SPELLING = [
    network("1.2.4.7/24", "host bits are set after the first 24", "Write 1.2.4.0/24", "or 1.2.4.7 for the one"),
    network("fd00::1/64", "host bits are set after the first 64", "fd00::/64"),
    network("1.2.4.0/33", "no number from 0 to 32"),
    network("fd00::/129", "no number from 0 to 128"),
    network("1.2.4.0/", "no number from 0 to 32"),
    network("1.2.4.0/255.255.255.0", "after the slash", "Write 1.2.4.0/24."),
    network("1.2.4.0/-1", "not a range"),
    network("1.2.4", "neither an IPv4 nor an IPv6 address"),
    network("1.2.4.256", "neither an IPv4 nor an IPv6 address"),
    network("1.2.4.010", "leading zero", "octal"),
    network("example.org", "neither an IPv4 nor an IPv6 address"),
    network("1.2.4.0;reboot", "'1.2.4.0;reboot' is neither"),
    network("$(id)", "'$(id)' is neither"),
    network("fd00:::1", "neither an IPv4 nor an IPv6 address"),
    network("fd00::1%eth0", "has a zone identifier", "Leave out the %"),
    network("1" * 500, "too long for an address"),
    network("\u0661.2.3.4", "neither an IPv4", "\\u0661"),
    network("1.2.5.9-1.2.5.3", "ends before it begins", "1.2.5.3-1.2.5.9"),
    network("1.2.5.9-fd00::1", "begins as IPv4 and ends as IPv6", "for each family"),
    network("1.2.5.9-60", "neither an IPv4", "whole addresses"),
    network("1.2.5.9-1.2.5.12-1.2.5.20", "not a range"),
    network("1.2.5.0/24-1.2.6.0/24", "not a range"),
    network("1.2.5.9-", "not a range"),
    network(16909060, "16909060 without quotes", "Put it in quotes"),
    network(True, "true without quotes"),
    network(1.5, "1.5 without quotes"),
    network(["1.2.4.0/24"], "a list is not a string"),
    network({"a": 1}, "a mapping is not a string"),
    Flaw({"pools[0].networks": {"a": 1}}, "pools[0].networks", ("a mapping is not a list",)),
    Flaw({"pools[0].networks": 5}, "pools[0].networks", ("5 is not a list",)),
    Flaw({"pools[0].networks": True}, "pools[0].networks", ("true is not a list",)),
    Flaw({"pools[0].networks": "1.2.3.0/24,oops"}, "pools[0].networks[1]", ("oops is neither",)),
]

SCOPES = [
    network("0.0.0.0/0", "covers every IPv4 address"),
    network("::/0", "covers every IPv6 address"),
    network("64.0.0.0/7", "larger than a /8"),
    network("128.0.0.0/1", "larger than a /8"),
    network("fc00::/7", "larger than a /8"),
    network("11.0.0.0-12.0.0.0", "larger than a /8"),
    network("0.1.2.3", "inside the unspecified addresses (0.0.0.0/8)"),
    network("127.0.0.53", "inside the loopback addresses (127.0.0.0/8)", "never leave"),
    network("169.254.169.254", "inside the link-local addresses (169.254.0.0/16)"),
    network("169.0.0.0/8", "contains the link-local addresses (169.254.0.0/16)"),
    network("169.253.255.0-169.254.0.5", "the link-local addresses (169.254.0.0/16)"),
    network("224.0.0.5", "multicast addresses (224.0.0.0/4)", "groups"),
    network("255.255.255.255", "class E"),
    network("241.0.0.0/8", "class E"),
    network("::", "inside the unspecified address (::/128)"),
    network("::1", "inside the loopback address (::1/128)"),
    network("::ffff:1.2.4.0/120", "IPv4-mapped", "only in programs"),
    network("::1.2.4.0/120", "IPv4-compatible", "RFC 4291"),
    network("fe80::/64", "link-local addresses (fe80::/10)"),
    network("ff02::1", "multicast addresses (ff00::/8)"),
]

OVERLAPS = [
    network("1.2.3.0/24", "is the same as pools[0].networks[0] (1.2.3.0/24)"),
    network("1.2.3.128/25", "1.2.3.128/25 lies inside pools[0].networks[0] (1.2.3.0/24)"),
    network("1.2.2.0/23", "1.2.2.0/23 contains pools[0].networks[0] (1.2.3.0/24)"),
    network("1.2.2.200-1.2.3.5", "1.2.2.200-1.2.3.5 overlaps pools[0].networks[0] (1.2.3.0/24)"),
    network("fd00:1:2:3:8000::/65", "lies inside pools[0].networks[1] (fd00:1:2:3::/64)"),
    Flaw(
        {"pools[1].networks[1]": "1.2.3.77"},
        "pools[1].networks[1]",
        ("1.2.3.77/32 lies inside pools[0].networks[0] (1.2.3.0/24)", "declared only once"),
        {"pools[1]": second()},
    ),
    Flaw(
        {"pools[1].networks": ["1.2.0.0/16"]},
        "pools[1].networks[0]",
        ("1.2.0.0/16 contains pools[0].networks[0]",),
        {"pools[1]": second(interface="eth0.100", vlan={"parent": "eth0", "id": 100})},
    ),
    network("10.113.0.0/16", "lies inside cluster.pod_networks[0] (10.112.0.0/12)", "cluster's own traffic"),
    network("10.96.0.0/12", "is the same as cluster.service_networks[0]"),
    Flaw(
        {N: "192.168.1.0/28"},
        N,
        ("192.168.1.0/28 contains cluster.node_addresses[1] (192.168.1.12)",),
        {"cluster.node_addresses": ["fd00::12", "192.168.1.12"]},
    ),
    Flaw(
        {N: "192.168.1.250-192.168.1.254"},
        N,
        ("contains cluster.api_servers[0] (192.168.1.254)",),
        {"cluster.api_servers": ["192.168.1.254"]},
    ),
    Flaw(
        {"pools[0].onlink_networks[1]": "1.9.0.0/24"},
        "pools[0].onlink_networks[1]",
        ("lies inside", "[0]"),
        {"pools[0].onlink_networks": ["1.9.0.0/16"]},
    ),
    Flaw(
        {"pools[0].onlink_networks": ["1.2.3.0/24"]},
        "pools[0].onlink_networks[0]",
        ("is the same as pools[0].networks[0]", "on the link anyway", "Leave it out"),
    ),
    Flaw(
        {"pools[0].onlink_networks": ["1.2.3.0/25"]},
        "pools[0].onlink_networks[0]",
        ("lies inside pools[0].networks[0]",),
    ),
    Flaw({"pools[0].onlink_networks": ["fe80::/10"]}, "pools[0].onlink_networks[0]", ("link-local", "always are")),
]

CLUSTER = [
    Flaw({"cluster": "10.0.0.0/8"}, "cluster", ("is not a mapping", "pod_networks")),
    Flaw({"cluster": ["10.0.0.0/8"]}, "cluster", ("a list is not a mapping",)),
    Flaw({"cluster.pod_network": "10.0.0.0/8"}, "cluster.pod_network", ("no such option", "Use pod_networks, a list")),
    Flaw({"cluster.pod_networks[0]": "10.112.0.1/12"}, "cluster.pod_networks[0]", ("bits are set", "10.112.0.0/12")),
    Flaw(
        {"cluster.service_networks[1]": "10.112.5.0/24"},
        "cluster.service_networks[1]",
        ("lies inside cluster.pod_networks[0]",),
    ),
    Flaw(
        {"cluster.pod_networks[2]": "10.112.5.0/24"},
        "cluster.pod_networks[2]",
        ("lies inside cluster.pod_networks[0]",),
    ),
    Flaw({"cluster.service_networks[1]": "0.0.0.0/0"}, "cluster.service_networks[1]", ("covers every IPv4 address",)),
    Flaw(
        {"cluster.node_addresses": ["192.168.1.0/24"]},
        "cluster.node_addresses[0]",
        ("not a single address", "without a length"),
    ),
    Flaw(
        {"cluster.node_addresses": ["192.168.1.5/128"]},
        "cluster.node_addresses[0]",
        ("not a single address", "Write 192.168.1.5 alone"),
    ),
    Flaw({"cluster.node_addresses": ["127.0.0.1"]}, "cluster.node_addresses[0]", ("loopback",)),
    Flaw({"cluster.api_servers": ["https://10.0.0.1:6443"]}, "cluster.api_servers[0]", ("not a single address",)),
    Flaw({"cluster.api_servers": ["10.0.0.1:6443"]}, "cluster.api_servers[0]", ("neither", "without port")),
    Flaw({"cluster.kube_proxy_mode": "ebpf"}, "cluster.kube_proxy_mode", ("ebpf is not one of", "nftables")),
]


@pytest.mark.parametrize("flaw", SPELLING + SCOPES + OVERLAPS + CLUSTER, ids=str)
def test_only_the_flaw_is_refused(flaw: Flaw) -> None:
    check(flaw)
