# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, routes, rules and chains that the modules for one kind of object refuse, with Ansible's validator in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped]

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.objects import (
    parse_chains,
    parse_links,
    parse_routes,
    parse_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.modules import ip_links, ip_routes, ip_rules, iptables_chains
from tests.unit.declaration.flaws import assert_only

Entry = Mapping[str, Any]

PREFIX = "SITE-"
PARSERS: dict[str, tuple[dict[str, Any], Callable[[Any], tuple[Any, ...]]]] = {
    "links": (ip_links.ARGUMENT_SPEC, parse_links),
    "routes": (ip_routes.ARGUMENT_SPEC, parse_routes),
    "rules": (ip_rules.ARGUMENT_SPEC, parse_rules),
    "chains": (iptables_chains.ARGUMENT_SPEC, lambda entries: parse_chains(entries, PREFIX)),
}

#: Entries that pass; each flaw below changes one of them.
SOUND: dict[str, Entry] = {
    "links": {"name": "eth0.100", "parent": "eth0", "vlan_id": 100},
    "routes": {"destination": "5.6.7.0/24", "interface": "eth1"},
    "rules": {"priority": 5, "table": "100"},
    "chains": {"name": "SITE-A", "table": "raw"},
}


@dataclass(frozen=True)
class Flaw:
    """Options of one entry that are refused.

    :param at: option that the error names.
    :param words: that its text must have.
    :param without: options of the sound entry that are left out.
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


UNSET_VLAN = ("parent", "vlan_id")

LINKS = [
    link("name", "has 16 bytes, but the kernel allows 15", "`ip -brief link` shows it", name="x" * 16),
    link("parent", "a macvlan needs a link below it", "Name it", kind="macvlan", without=UNSET_VLAN),
    link("vlan_id", "4095 is out of range", "Give a number up to 4094", vlan_id=4095),
    link("vlan_id", "0 does not go with kind vlan", "has an id of 1-4094", without=("vlan_id",)),
    link("mtu", "99999 is out of range", "Give a number up to 65535", mtu=99999),
]

ROUTES = [
    route("destination", "5.6.7.1/24 has host bits set", "as address/length", destination="5.6.7.1/24"),
    route("destination", "'nonsense' does not appear to be", "as address/length", destination="nonsense"),
    route("interface", "a unicast route needs the link it leaves by", "Name it, or", without=("interface",)),
    route("table", "local is the kernel's own, whose routes are not read", "Take another one", table="255"),
    route("table", "'nine' is not a number", "Give a number up to 4294967295", table="nine"),
    route("gateway", "0.0.0.0 is no host's address", "Leave it out", gateway="0.0.0.0"),  # noqa: S104 - no host's
    route("gateway", "fd00::1 is not ipv4, as the destination is", "of the same family", gateway="fd00::1"),
]

RULES = [
    rule("priority", "0 is the priority of the kernel's own first rule", "Give 1 to 32765", priority=0),
    rule("table", "action lookup and table none do not go together", "Give a table with lookup", without=("table",)),
    rule("goto", "action goto with goto 4", "a priority above its own", action="goto", goto=4, without=("table",)),
    rule("fwmark", "0x2000/0x1f00 has bits outside its mask", "the value inside", fwmark="0x2000/0x1f00"),
    *(
        rule(
            "suppress_prefixlength",
            f"{length} is out of range",
            f"up to {most}",
            family=family,
            suppress_prefixlength=length,
        )
        for family, length, most in (("ipv4", -1, 32), ("ipv4", 33, 32), ("ipv6", 129, 128))
    ),
    rule(
        "suppress_prefixlength",
        "action blackhole finds no result",
        "with lookup only",
        action="blackhole",
        suppress_prefixlength=0,
        without=("table",),
    ),
    rule("source", "1.2.3.4/8 has host bits set", "as address/length", source="1.2.3.4/8"),
]

CHAINS = [
    chain("name", "OTHER does not begin with SITE-, by which our chains are known", "Name it so", name="OTHER"),
    chain("name", "is not a chain's name", "Use at most 28 letters, digits", name="SITE-" + "x" * 30),
    chain("hook", "table raw has no built-in chain FORWARD", "Take one of PREROUTING, OUTPUT", hook="FORWARD"),
    chain("rules[1]", "a rule is one line", "one list entry per rule", rules=["-j DROP", "-s x\n-j DROP"]),
]


def parse(kind: str, *entries: Entry) -> tuple[Any, ...]:
    """Return what the module for the kind makes of these entries of a task."""
    spec, parser = PARSERS[kind]
    result = ArgumentSpecValidator({kind: spec[kind]}).validate({kind: [dict(entry) for entry in entries]})
    assert result.error_messages == []
    return parser(result.validated_parameters[kind])


@pytest.mark.parametrize("flaw", LINKS + ROUTES + RULES + CHAINS, ids=str)
def test_is_refused_for_this_alone(flaw: Flaw) -> None:
    sound = SOUND[flaw.kind]
    assert len(parse(flaw.kind, sound)) == 1, "the entry must pass without the flaw"
    kept = {name: value for name, value in sound.items() if name not in flaw.without}
    with pytest.raises(InputErrors) as caught:
        parse(flaw.kind, sound, {**kept, **flaw.options})
    assert_only(caught.value, f"{flaw.kind}[1].{flaw.at}", flaw.words)


def test_two_routes_with_one_key() -> None:
    with pytest.raises(InputErrors) as caught:
        parse("routes", SOUND["routes"], {**SOUND["routes"], "interface": "eth2"})
    words = ("5.6.7.0/24 dev eth2 table main contradicts routes[0], 5.6.7.0/24 dev eth1", "Declare one of them")
    assert_only(caught.value, "routes[1]", words)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(InputErrors) as caught:
        parse("links", {"name": "a b", "kind": "dummy"}, SOUND["links"], {"name": "mv0", "kind": "macvlan"})
    assert [error.path for error in caught.value.errors] == ["links[0].name", "links[2].parent"]
