# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, routes, rules and chains that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import assert_only
from tests.unit.declaration.objects import PARSERS, VALID_OBJECTS, Entry, parse


@dataclass(frozen=True)
class Flaw:
    """Options of one entry that are refused.

    :param at: option that the error names.
    :param words: that its text must have.
    :param without: options of the valid entry that are left out.
    """

    kind: str
    options: Mapping[str, Any]
    at: str
    words: tuple[str, ...]
    without: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.at} {self.words[0]}"[:70]


def link(at: str, *words: str, without: tuple[str, ...] = (), **options: Any) -> Flaw:
    return Flaw("links", options, at, words, without)


def route(at: str, *words: str, without: tuple[str, ...] = (), **options: Any) -> Flaw:
    return Flaw("routes", options, at, words, without)


def rule(at: str, *words: str, without: tuple[str, ...] = (), **options: Any) -> Flaw:
    return Flaw("rules", options, at, words, without)


def chain(at: str, *words: str, without: tuple[str, ...] = (), **options: Any) -> Flaw:
    return Flaw("chains", options, at, words, without)


NO_VLAN = ("parent", "vlan_id")
NO_TABLE = ("table",)

LINKS = [
    link("name", "has 16 bytes, but the kernel allows 15", "such as vlan100", name="x" * 16),
    link("name", "the link's name is missing", "Give name", name=""),
    link(
        "parent", "a macvlan link needs a parent", "Give the name of the link below it", kind="macvlan", without=NO_VLAN
    ),
    link("parent", "a vlan link needs a parent", without=("parent",)),
    link("parent", "a dummy link has no parent", "Leave parent out", kind="dummy", without=("vlan_id",)),
    link("parent", "'eth0;id' cannot be used as an interface name", parent="eth0;id"),
    link("vlan_id", "4095 is reserved by IEEE 802.1Q", "1 to 4094", vlan_id=4095),
    link("vlan_id", "0 is for packets with a priority but no VLAN", vlan_id=0),
    link("vlan_id", "4096 is not between 1 and 4094", vlan_id=4096),
    link("vlan_id", "a vlan link needs a VLAN ID", "Give vlan_id, 1 to 4094", without=("vlan_id",)),
    link("vlan_id", "a macvlan link has no VLAN ID", "Leave vlan_id out", kind="macvlan"),
    link("mtu", "99999 is not between 0 and 65535", "Give the MTU in bytes", mtu=99999),
    link("mtu", "-1 is not between 0 and 65535", mtu=-1),
]

ROUTES = [
    route("destination", "host bits are set after the first 24", "Write 5.6.7.0/24 for", destination="5.6.7.1/24"),
    route("destination", "nonsense is neither an IPv4 nor", "as address/length, or default", destination="nonsense"),
    route("destination", "5.6.7.0-5.6.7.9 is neither an IPv4 nor", "as address/length", destination="5.6.7.0-5.6.7.9"),
    route("destination", "no number from 0 to 32 after the slash", "5.6.7.0/24", destination="5.6.7.0/255.255.255.0"),
    route("destination", "the route's destination is missing", "or default", destination=""),
    route("interface", "a unicast route needs an interface", "or another type", without=("interface",)),
    route("interface", "lo is the loopback device", interface="lo"),
    route("type", "a route of type blackhole has no next hop", "Leave interface and gateway out", type="blackhole"),
    route("table", "255 is the table local, which the kernel maintains", "except 255, or main or default", table="255"),
    route("table", "255 is the table local, which the kernel maintains", table="local"),
    route("table", "0 means no table to the kernel", table="0"),
    route(
        "table",
        "the table name nine is not accepted, because names differ",
        "Look up its number in rt_tables",
        table="nine",
    ),
    route("table", "4294967296 is not between 1 and 4294967295", table="4294967296"),
    route("metric", "4294967296 is not between 0 and 4294967295", "the kernel's default", metric=4294967296),
    route(
        "gateway", "0.0.0.1 is inside the unspecified addresses", "of the next hop, or leave it out", gateway="0.0.0.1"
    ),
    route("gateway", ":: is inside the unspecified address", destination="fd00::/64", gateway="::"),
    route("gateway", "fd00::1 is IPv6, but destination is IPv4", "of one family", gateway="fd00::1"),
    route("gateway", "5.6.7.0/24 is not a single address", gateway="5.6.7.0/24"),
    route("source", "fd00::1 is IPv6, but destination is IPv4", "of one family", source="fd00::1"),
    route("source", "fd00::1 is IPv6, but gateway is IPv4", destination="default", gateway="5.6.7.1", source="fd00::1"),
    route("destination", "5.6.7.0/24 is IPv4, but family is IPv6", "leave family out", family="ipv6"),
]

RULES = [
    rule("priority", "0 is the priority of the kernel's rule for the local table", "from 1 to 32765", priority=0),
    rule("priority", "32766 is not between 0 and 32765", "from 1 to 32765", priority=32766),
    rule("table", "action lookup needs a table", "or main, default or local", without=NO_TABLE),
    rule("table", "action nop does not look up a table", "Leave table out", action="nop"),
    rule("table", "0 means no table to the kernel", "Give a number from 1", table="0"),
    rule(
        "goto", "4 is not above the rule's own priority, 5", "after this one", action="goto", goto=4, without=NO_TABLE
    ),
    rule("goto", "action goto needs the priority of another rule", "after this one", action="goto", without=NO_TABLE),
    rule("goto", "action lookup does not jump to another rule", "Leave goto out", goto=7),
    rule("fwmark", "0x2000/0x1f00 has bits outside its mask", "the value inside", fwmark="0x2000/0x1f00"),
    rule("fwmark", "0 is not between 1 and 4294967295", "Give value/mask", fwmark="0/0"),
    rule("fwmark", "'' is not a whole number", fwmark="0x100/"),
    rule("fwmark", "0x1f00/0x1f00 is not a whole number", fwmark="0x100/0x1f00/0x1f00"),
    rule("fwmark", "4294967296 is not between 0 and", fwmark="0x100000000"),
    *(
        rule(
            "suppress_prefixlength",
            f"{length} is not between 0 and {most}",
            family=family,
            suppress_prefixlength=length,
        )
        for family, length, most in (("ipv4", -1, 32), ("ipv4", 33, 32), ("ipv6", 129, 128))
    ),
    rule(
        "suppress_prefixlength",
        "action blackhole does not find a route to suppress",
        "use action lookup",
        action="blackhole",
        suppress_prefixlength=0,
        without=NO_TABLE,
    ),
    rule("source", "host bits are set after the first 8", "Write 1.0.0.0/8 for", source="1.2.3.4/8"),
    rule(
        "destination",
        "fd00::/64 is IPv6, but source is IPv4",
        "of one family",
        source="1.0.0.0/8",
        destination="fd00::/64",
    ),
    rule("source", "1.0.0.0/8 is IPv4, but family is IPv6", "leave family out", source="1.0.0.0/8", family="ipv6"),
    rule("iif", "eth0:1 cannot be an interface name", iif="eth0:1"),
    rule("oif", "has 16 bytes, but the kernel allows 15", oif="x" * 16),
]

CHAINS = [
    chain("name", "OTHER does not begin with SITE-", "Use a name such as SITE-OTHER", name="OTHER"),
    chain("name", "is not a valid chain name", "Use at most 28 characters: letters, digits", name="SITE-" + "x" * 30),
    chain("name", "'SITE-$(id)' is not a valid chain name", name="SITE-$(id)"),
    chain("hook", "table raw has no built-in chain FORWARD", "Use one of PREROUTING, OUTPUT", hook="FORWARD"),
    chain(
        "rules[1]",
        "'-s x\\n-j DROP' is not one line of text",
        "one list entry per rule",
        rules=["-j DROP", "-s x\n-j DROP"],
    ),
    *(
        chain("rules[0]", "has a quote that is not closed", 'Close it with "', rules=[text])
        for text in ('-m comment --comment "abc -j DROP', '-j DROP "', r'-m comment --comment "a\" -j DROP', 'a"b"c"')
    ),
    chain("rules[0]", "'' is not one line of text", "one list entry per rule", rules=["", "-j DROP"]),
]


def refusal(kind: str, *entries: Entry) -> InputErrors:
    """Return the errors of the parser without Ansible's validator in front."""
    with pytest.raises(InputErrors) as caught:
        PARSERS[kind][1](list(entries))
    return caught.value


@pytest.mark.parametrize("flaw", LINKS + ROUTES + RULES + CHAINS, ids=str)
def test_only_the_flaw_is_refused(flaw: Flaw) -> None:
    valid = VALID_OBJECTS[flaw.kind]
    assert len(parse(flaw.kind, valid)) == 1, "the entry must pass without the flaw"
    kept = {name: value for name, value in valid.items() if name not in flaw.without}
    with pytest.raises(InputErrors) as caught:
        parse(flaw.kind, valid, {**kept, **flaw.options})
    assert_only(caught.value, f"{flaw.kind}[1].{flaw.at}", flaw.words)


@pytest.mark.parametrize(
    ("kind", "option", "value", "words"),
    [
        ("links", "up", "perhaps", "perhaps is neither true nor false"),
        ("links", "kind", "bond", "bond is not one of the choices"),
        ("links", "name", 7, "7 without quotes is not a string"),
        ("routes", "onlink", 2, "2 is neither true nor false"),
        ("routes", "type", "unicats", "unicats is not one of the choices"),
        ("routes", "family", "ipx", "ipx is not one of the choices"),
        ("routes", "gateway", ["5.6.7.1"], "a list is not a string"),
        ("rules", "action", "jump", "jump is not one of the choices"),
        ("rules", "invert", "maybe", "maybe is neither true nor false"),
        ("chains", "table", "nft", "nft is not one of the choices"),
        ("chains", "rules", 7, "7 is not a list"),
        ("chains", "hook", False, "false without quotes is not a string"),
    ],
)
def test_what_ansible_would_refuse(kind: str, option: str, value: object, words: str) -> None:
    assert_only(refusal(kind, {**VALID_OBJECTS[kind], option: value}), f"{kind}[0].{option}", (words,))


@pytest.mark.parametrize("kind", PARSERS)
def test_required_options_and_unknown_ones(kind: str) -> None:
    required = [name for name, option in PARSERS[kind][0][kind]["options"].items() if option.get("required")]
    for name in required:
        assert_only(refusal(kind, {**VALID_OBJECTS[kind], name: None}), f"{kind}[0].{name}", ("is missing",))
    assert_only(refusal(kind, {**VALID_OBJECTS[kind], "frob": 1}), f"{kind}[0].frob", ("there is no such option",))


@pytest.mark.parametrize(
    ("kind", "entry", "option"),
    [
        ("links", {"name": "d", "kind": "bond"}, "kind"),
        ("routes", {"destination": "5.6.7.0/24", "type": "unicats"}, "type"),
        ("rules", {"priority": 5, "action": "jump"}, "action"),
        ("rules", {"priority": 5, "table": "x"}, "table"),
        ("links", {"name": "v", "parent": "a b", "vlan_id": 4095, "kind": "dummy"}, "parent"),
    ],
)
def test_follow_up_errors_are_not_reported(kind: str, entry: Entry, option: str) -> None:
    """An option that is required or refused by an invalid one, or is invalid itself, is not reported for that."""
    assert [error.path for error in refusal(kind, entry).errors][:1] == [f"{kind}[0].{option}"]
    assert all("needs" not in str(error) and "has no" not in str(error) for error in refusal(kind, entry).errors)


def test_two_routes_with_one_key() -> None:
    with pytest.raises(InputErrors) as caught:
        parse("routes", VALID_OBJECTS["routes"], {**VALID_OBJECTS["routes"], "interface": "eth2"})
    words = ("5.6.7.0/24 dev eth2 table main contradicts routes[0] (5.6.7.0/24 dev eth1", "Declare only one of them")
    assert_only(caught.value, "routes[1]", words)


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(InputErrors) as caught:
        parse(
            "links",
            {"name": "a b", "kind": "macvlan", "mtu": -1},
            VALID_OBJECTS["links"],
            {"name": "mv0", "vlan_id": 0},
        )
    assert [error.path for error in caught.value.errors] == [
        "links[0].name",
        "links[0].mtu",
        "links[0].parent",
        "links[2].vlan_id",
        "links[2].parent",
    ]
