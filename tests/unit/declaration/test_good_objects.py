# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, routes, rules and chains that must pass, and their canonical form."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Chain, Link, Route, Rule
from tests.unit.declaration.objects import VALID_OBJECTS, parse

MAIN, DEFAULT, LOCAL = 254, 253, 255


def one(name: str, options: dict[str, Any]) -> Any:
    """Parse the valid entry with these options."""
    (item,) = parse(name, {**VALID_OBJECTS[name], **options})
    return item


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Link("eth0.100", "vlan", "eth0", 100)),
        ({"vlan_id": "100", "mtu": 0, "up": False}, Link("eth0.100", "vlan", "eth0", 100, up=False)),
        ({"mtu": 68}, Link("eth0.100", "vlan", "eth0", 100, 68)),
        ({"mtu": 10}, Link("eth0.100", "vlan", "eth0", 100, 10)),  # no address needs it to be larger
        ({"kind": "macvlan", "vlan_id": None}, Link("eth0.100", "macvlan", "eth0")),
        ({"kind": "dummy", "parent": "", "vlan_id": None}, Link("eth0.100", "dummy")),
        ({"kind": "dummy", "parent": "", "vlan_id": 0}, Link("eth0.100", "dummy")),  # as routing_info reports it
    ],
)
def test_links(options: dict[str, Any], expected: Link) -> None:
    assert one("links", options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Route("ipv4", MAIN, "5.6.7.0/24", interface="eth1")),
        ({"destination": " 5.6.7.8 "}, Route("ipv4", MAIN, "5.6.7.8/32", interface="eth1")),
        ({"destination": "FD00:0::/64"}, Route("ipv6", MAIN, "fd00::/64", interface="eth1")),
        ({"destination": "default"}, Route("ipv4", MAIN, "0.0.0.0/0", interface="eth1")),
        ({"destination": "all", "family": "ipv6"}, Route("ipv6", MAIN, "::/0", interface="eth1")),
        ({"destination": "::/0"}, Route("ipv6", MAIN, "::/0", interface="eth1")),
        (
            {"destination": "default", "gateway": "fe80::1"},
            Route("ipv6", MAIN, "::/0", gateway="fe80::1", interface="eth1"),
        ),
        (
            {"gateway": "169.254.1.1", "onlink": True, "source": "5.6.7.9/32"},
            Route("ipv4", MAIN, "5.6.7.0/24", gateway="169.254.1.1", interface="eth1", onlink=True, source="5.6.7.9"),
        ),
        ({"destination": "224.0.0.0/4"}, Route("ipv4", MAIN, "224.0.0.0/4", interface="eth1")),
        ({"destination": "64.0.0.0/2"}, Route("ipv4", MAIN, "64.0.0.0/2", interface="eth1")),
        ({"table": "default"}, Route("ipv4", DEFAULT, "5.6.7.0/24", interface="eth1")),
        ({"table": "0x64", "metric": 4294967295}, Route("ipv4", 100, "5.6.7.0/24", 4294967295, interface="eth1")),
        ({"table": "253"}, Route("ipv4", DEFAULT, "5.6.7.0/24", interface="eth1")),
        ({"type": "blackhole", "interface": None}, Route("ipv4", MAIN, "5.6.7.0/24", type="blackhole")),
    ],
)
def test_routes(options: dict[str, Any], expected: Route) -> None:
    assert one("routes", options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Rule("ipv4", 5, table=100)),
        ({"table": "local", "priority": 32765}, Rule("ipv4", 32765, table=LOCAL)),
        ({"table": "main", "family": "ipv6"}, Rule("ipv6", 5, table=MAIN)),
        ({"goto": 0}, Rule("ipv4", 5, table=100)),  # as routing_info reports it
        ({"action": "goto", "goto": 6, "table": None}, Rule("ipv4", 5, "goto", goto=6)),
        ({"action": "nop", "table": ""}, Rule("ipv4", 5, "nop")),
        ({"source": "all", "destination": "::/0"}, Rule("ipv6", 5, table=100)),
        (
            {"source": "1.2.3.4", "iif": "lo", "oif": "eth1"},
            Rule("ipv4", 5, table=100, source="1.2.3.4/32", iif="lo", oif="eth1"),
        ),
        ({"fwmark": "0x100/0x1f00"}, Rule("ipv4", 5, table=100, fwmark=0x100, fwmask=0x1F00)),
        ({"fwmark": "256"}, Rule("ipv4", 5, table=100, fwmark=256, fwmask=0xFFFFFFFF)),
        ({"fwmark": "0/0x1f00", "invert": True}, Rule("ipv4", 5, table=100, fwmask=0x1F00, invert=True)),
        ({"suppress_prefixlength": 0}, Rule("ipv4", 5, table=100, suppress_prefixlength=0)),
        ({"suppress_prefixlength": 128, "family": "ipv6"}, Rule("ipv6", 5, table=100, suppress_prefixlength=128)),
    ],
)
def test_rules(options: dict[str, Any], expected: Rule) -> None:
    assert one("rules", options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Chain("ipv4", "raw", "SITE-A")),
        ({"hook": "PREROUTING", "family": "ipv6"}, Chain("ipv6", "raw", "SITE-A", hook="PREROUTING")),
        (
            {"rules": [" -s 9.0.0.0/8,8.0.0.0/8 -j DROP "]},
            Chain("ipv4", "raw", "SITE-A", ("-s 9.0.0.0/8,8.0.0.0/8 -j DROP",)),
        ),
        ({"name": "SITE-" + "a" * 23}, Chain("ipv4", "raw", "SITE-" + "a" * 23)),
    ],
)
def test_chains(options: dict[str, Any], expected: Chain) -> None:
    assert one("chains", options) == expected


@pytest.mark.parametrize("kind", VALID_OBJECTS)
def test_the_same_entry_twice_and_none_at_all(kind: str) -> None:
    assert len(set(parse(kind, VALID_OBJECTS[kind], VALID_OBJECTS[kind]))) == 1
    assert parse(kind) == ()
