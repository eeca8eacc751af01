# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of one pool that are refused: names, VLAN, gateways, addresses, case, table, mark."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.declaration.flaws import ABSENT, Flaw, check

P = "pools[0]"
V4_ONLY = {f"{P}.networks": ["1.2.3.0/24"], f"{P}.gateways": ["1.2.3.1"]}
NO_GATEWAYS = {f"{P}.gateways": ABSENT}


def option(name: str, value: object, *words: str, given: dict[str, Any] | None = None, at: str = "") -> Flaw:
    """Return a flaw in one option of the first pool; ``at`` is the path of the error below the option."""
    return Flaw({f"{P}.{name}": value}, f"{P}.{name}{at}", words, given or {})


SHAPE = [
    Flaw({"pools": ABSENT}, "pools", ("the list is empty", "state: absent", "playbook remove")),
    Flaw({"pools": []}, "pools", ("the list is empty", "perhaps a variable is not set")),
    Flaw({"pools": None}, "pools", ("the list is empty",)),
    Flaw({"pools": ""}, "pools", ("the list is empty",)),
    Flaw({"pools": {"name": "external"}}, "pools", ("a mapping is not a list",)),
    Flaw({"pools": 7}, "pools", ("7 is not a list",)),
    Flaw({"pools[1]": "external"}, "pools[1]", ("external is not a mapping", "networks")),
    Flaw({"pools[1]": ["external"]}, "pools[1]", ("a list is not a mapping",)),
    Flaw({"state": "gone"}, "state", ("gone is not one of the choices", "present, absent")),
    option("gateway", "1.2.3.1", "no such option", "Use gateways, a list"),
    option("address", "1.2.3.5", "no such option", "Use addresses, a list"),
    option("frob", 1, "no such option", "The options are addresses, case"),
    option("name", ABSENT, "name is missing"),
    option("name", "", "name is missing"),
    option("name", None, "name is missing"),
    option("networks", ABSENT, "addresses that MetalLB assigns are missing", given=NO_GATEWAYS),
    option("networks", [], "are missing", given=NO_GATEWAYS),
    option("networks", "", "are missing", given=NO_GATEWAYS),
    option("networks", [None, ""], "are missing", given=NO_GATEWAYS),
    option("interface", ABSENT, "the interface that clients' packets arrive on is missing"),
    option("interface", "", "is missing"),
]

NAMES = [
    option("name", "-external", "-external is not a valid pool name", "a letter or digit first"),
    option("name", "ext ernal", "'ext ernal' is not a valid pool name"),
    option("name", "external\n", "is not a valid pool name"),
    option("name", "a;reboot", "is not a valid pool name"),
    option("name", "é", "'\\xe9' is not"),
    option("name", "a" * 64, "up to 63"),
    option("name", 7, "7 without quotes is not a string", "quotes"),
    option("name", ["a"], "a list is not a string"),
    *(
        option("interface", name, *words)
        for name, words in {
            "a" * 16: ("has 16 bytes", "allows 15", "Choose a shorter one", "vlan100"),
            "enx001122334455.100": ("has 19 bytes", "such as vlan100"),
            "é" * 8: ("has 16 bytes",),
            ".": ("directory name",),
            "..": ("directory name",),
            "eth0/1": ("allows no / in a name",),
            "eth0:1": ("label of an address",),
            "eth%d": ("replaces % with a number",),
            "eth+": ("reads + as a wildcard",),
            "eth0.100@eth0": ("ip prints @", "without @"),
            "eth 0": ("no white space",),
            "eth0\n": ("no white space", "'eth0\\n'"),
            "eth\xa00": ("no white space",),
            "-eth0": ("leading dash",),
            "eth0;reboot": ("safe in a shell",),
            "$(id)": ("safe in a shell",),
            "eth`id`": ("safe in a shell",),
            "eth0|cat": ("safe in a shell",),
            "eth'0": ("safe in a shell",),
            "eth\x00": ("safe in a shell", "\\x00"),
            "\ud800": ("'\\ud800'",),
            "é0": ("safe in a shell",),
            "lo": ("is the loopback device",),
            "all": ("net/ipv4/conf",),
            "default": ("future interfaces",),
        }.items()
    ),
    option("interface", 100, "100 without quotes"),
    option("interface", False, "false without quotes"),
]

VLAN = [
    option("vlan", "100", "100 is not a mapping", "id, mtu, parent"),
    option("vlan", 100, "is not a mapping"),
    option("vlan.parent", ABSENT, "the link below the VLAN is missing", "leave vlan out"),
    option("vlan.parent", "", "is missing"),
    option("vlan.parent", "lo", "loopback device"),
    option("vlan.parent", "eth0 ", "no white space"),
    option("vlan.parent", "eth0.100", "the pool's own interface", "its own parent"),
    option("vlan.id", ABSENT, "the VLAN's id is missing", "1 to 4094"),
    option("vlan.id", "", "id is missing"),
    option("vlan.id", 0, "a priority but no VLAN"),
    option("vlan.id", 4095, "reserved by IEEE 802.1Q"),
    option("vlan.id", -1, "-1 is not between 1 and 4094"),
    option("vlan.id", 5000, "5000 is not between 1 and 4094"),
    option("vlan.id", "abc", "abc is not a whole number"),
    option("vlan.id", "010", "010 is not a whole number"),
    option("vlan.id", True, "true is not a whole number"),
    option("vlan.id", 1.5, "1.5 is not a whole number"),
    option("vlan.id", [100], "a list is not a whole number"),
    option("vlan.mtu", 67, "67 is less than the 68 bytes that IPv4 needs"),
    option("vlan.mtu", 1279, "1279 is less than the 1280 bytes that IPv6 needs"),
    option("vlan.mtu", 65536, "not between 0 and 65535"),
    option("vlan.mtu", "jumbo", "jumbo is not a whole number"),
    option("vlan.name", "eth0", "no such option", "id, mtu, parent"),
]

GATEWAYS = [
    option("gateways[0]", "1.2.4.1", "not inside any of pools[0].networks (1.2.3.0/24)", "pools[0].onlink_networks"),
    option(
        "gateways[0]",
        "1.2.5.1",
        "pools[0].networks (1.2.3.0/24) or pools[0].onlink_networks (1.2.4.0/24)",
        given={f"{P}.onlink_networks": ["1.2.4.0/24"]},
    ),
    option("gateways[1]", "fd00:1:2:4::1", "pools[0].networks (fd00:1:2:3::/64)"),
    option("gateways[2]", "1.2.3.2", "a second IPv4 gateway after pools[0].gateways[0] (1.2.3.1)"),
    option("gateways[2]", "fd00:1:2:3::2", "a second IPv6 gateway after pools[0].gateways[1]"),
    option("gateways[1]", "fe80::1", "is IPv6, but pools[0].networks has no IPv6 network", given=V4_ONLY),
    option("gateways[0]", "1.2.3.0", "is the network address of pools[0].networks[0] (1.2.3.0/24)"),
    option("gateways[0]", "1.2.3.255", "is the broadcast address of pools[0].networks[0]"),
    option("gateways[1]", "fd00:1:2:3::", "anycast address of all routers"),
    option(
        "gateways[0]",
        "1.2.3.255",
        "is the broadcast address of pools[0].onlink_networks[0] (1.2.3.0/24)",
        given={f"{P}.networks[0]": "1.2.3.128/26", f"{P}.onlink_networks": ["1.2.3.0/24"]},
    ),
    Flaw(
        {f"{P}.networks[2]": "1.2.4.1"},
        f"{P}.gateways[0]",
        ("1.2.4.1 is pools[0].networks[2], an address that MetalLB assigns",),
        {f"{P}.gateways[0]": "1.2.4.1", f"{P}.onlink_networks": ["1.2.4.0/24"]},
    ),
    option("gateways[0]", "1.2.3.1/24", "is not a single address", "without a length"),
    option("gateways[0]", "1.2.3.1-1.2.3.2", "is not a single address"),
    option("gateways[0]", "router", "router is neither an IPv4 nor"),
    option("gateways[0]", "224.0.0.1", "multicast"),
    option("gateways[0]", "169.254.1.1", "link-local"),
    option("gateways[1]", "fe80::1%eth0", "has a zone identifier"),
    option("gateways[0]", 16909057, "without quotes"),
    option("addresses", ["1.2.4.5"], "1.2.4.5 is not inside any of pools[0].networks", "Correct the address", at="[0]"),
    option("addresses", ["1.2.3.1"], "is the gateway (pools[0].gateways[0])", "only this node has", at="[0]"),
    option("addresses", ["1.2.3.5", "1.2.3.6"], "a second IPv4 address", at="[1]"),
    option("addresses", ["1.2.3.5/24"], "is not a single address", at="[0]"),
    option("addresses", ["1.2.3.255/32"], "is the broadcast address", at="[0]"),
    option("addresses", ["fd00::5"], "is IPv6, but pools[0].networks has no IPv6", given=V4_ONLY, at="[0]"),
    option("addresses", ["fe80::5"], "link-local", at="[0]"),
]

ROUTED = {f"{P}.case": "policy_routing"}
CASES = [
    option("case", "nat", "nat is not one of the choices", "auto, same_subnet"),
    option("case", ["auto"], "a list is not one of the choices"),
    Flaw({f"{P}.case": "onlink_route"}, f"{P}.gateways", ("no effect", "only adds a route to the link")),
    option("gateways", ["1.2.3.1"], "no IPv6 gateway", "case policy_routing", "(fd00:1:2:3::/64)", given=ROUTED),
    option("gateways", ["fe80::1"], "no IPv4 gateway", "(1.2.3.0/24)", "onlink_route", given=ROUTED),
    option("gateways", ["1.2.3.1"], "case source_routing", given={f"{P}.case": "source_routing"}),
    option("gateways", "", "no IPv4 gateway", given={**ROUTED, **V4_ONLY}),
    option("gateways", ["1.2.3.1"], "no effect", given={f"{P}.case": "onlink_route", **NO_GATEWAYS}),
    *(
        option(name, value, "no effect", f"case {case}", given={f"{P}.case": case, **NO_GATEWAYS, f"{P}.vlan": ABSENT})
        for case, options in {
            "same_subnet": {
                "gateways": ["1.2.3.1"],
                "vlan": {"parent": "eth0", "id": 100},
                "addresses": ["1.2.3.5"],
                "table": 100,
                "mark": "0x100",
                "deny": ["10.9.0.0/16"],
            },
            "onlink_route": {"table": 100, "mark": "0x100", "deny": ["10.9.0.0/16"]},
        }.items()
        for name, value in options.items()
    ),
    option("table", 100, "no gateways to route replies through", given=NO_GATEWAYS),
    option("mark", 0x100, "no gateways to route replies through", given=NO_GATEWAYS),
    option("deny", ["10.9.0.0/16"], "no gateways to route replies through", given=NO_GATEWAYS),
    option("rp_filter", "1", "1 is not one of the choices", "auto, leave, strict"),
    option("rp_filter", False, "false is not one", 'Put "off" in quotes'),
    option("dedicated", "perhaps", "neither true nor false"),
    option("dedicated", 2, "neither true nor false"),
    option("dedicated", [], "neither true nor false"),
]

NUMBERS = [
    option("table", 0, "0 means no table"),
    option("table", 253, "253 is the table default", "divert"),
    option("table", 254, "254 is the table main"),
    option("table", 255, "255 is the table local"),
    option("table", "main", "254 is the table main"),
    option("table", "local", "255 is the table local"),
    option("table", "default", "253 is the table default"),
    option("table", "vlan100", "the table name vlan100 is not accepted", "Look up its number in rt_tables"),
    option("table", -1, "-1 is not between"),
    option("table", 1 << 32, "4294967296 is not between"),
    option("table", 10**30, "more than 64 bits"),
    option("table", 10**5000, "more than 64 bits"),  # Python refuses to print it
    option("table", "0100", "0100 is not a whole number"),
    option("table", 100.0, "100.0 is not a whole number"),
    option("table", True, "true is not a whole number"),
    option("mark", 0, "0 is the mark of unmarked packets", "multiple of 0x100 up to 0x1f00"),
    option("mark", "0x4000", "0x4000 has bits outside mark_mask (0x1f00)"),
    option("mark", 0x2100, "0x2100 has bits outside mark_mask"),
    option("mark", 1, "0x1 has bits outside"),
    option("mark", "one", "one is not a whole number"),
    option("mark", -256, "not between"),
    option("mark", 1 << 32, "not between"),
    option("deny", ["1.2.3.128/25"], "lies inside pools[0].networks[0]", "would be dropped", at="[0]"),
    option("deny", ["1.0.0.0/8"], "contains pools[0].networks[0]", at="[0]"),
    option("deny", ["0.0.0.0/0"], "covers every IPv4 address", at="[0]"),
    option("deny", ["10.9.0.0/16", "10.9.1.0/24"], "lies inside pools[0].deny[0]", at="[1]"),
    option("deny", ["fe80::/10"], "link-local", at="[0]"),
    option("deny", ["10.9.0.1/16"], "bits are set", at="[0]"),
    option(
        "deny",
        ["192.0.2.0/24"],
        "contains pools[0].gateways[0] (192.0.2.1)",
        "gateway's own packets",
        given={f"{P}.gateways[0]": "192.0.2.1", f"{P}.onlink_networks": ["192.0.2.0/24"]},
        at="[0]",
    ),
]


@pytest.mark.parametrize("flaw", SHAPE + NAMES + VLAN + GATEWAYS + CASES + NUMBERS, ids=str)
def test_only_the_flaw_is_refused(flaw: Flaw) -> None:
    check(flaw)
