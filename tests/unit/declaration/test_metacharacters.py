# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No option accepts characters with a meaning to a shell: they reach no command, rule, file or message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    STATES,
    argument_spec,
    cluster_options,
    parse_declaration,
    pool_options,
    settings_options,
    vlan_options,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import VALID, Flaw, assert_only, changed, check
from tests.unit.declaration.objects import PARSERS

METACHARACTERS = {
    "command": "$(id)",
    "backquotes": "`id`",
    "variable": "${IFS}",
    "semicolon": ";",
    "pipe": "|",
    "ampersand": "&",
    "newline": "\n",
    "carriage return": "\r",
    "tab": "\t",
    "NUL": "\0",
    "quote": "'",
    "double quote": '"',
    "backslash": "\\",
    "star": "*",
    "question mark": "?",
    "tilde": "~",
    "from": "<",
    "to": ">",
    "space": " ",
    "comment": "#",
    "history": "!",
}
BLANKS = frozenset("\n\r\t ")

P = "pools[0]"
ROUTED = {f"{P}.case": "policy_routing"}


@dataclass(frozen=True)
class Option:
    """An option with a valid value, as text.

    :param path: of the option; an item of a list where it is one.
    :param given: what else must be declared for the value to be valid.
    :param stripped: whether blanks around the value are removed.
    """

    path: str
    value: str
    given: dict[str, Any] = field(default_factory=dict)
    stripped: bool = False

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        """The path without numbers, as the argument specification has it."""
        return self.path.replace("[0]", "")

    def with_value(self, value: str) -> dict[str, Any]:
        """Return the change that gives the option another value."""
        path, is_item, _ = self.path.removeprefix(P).rpartition("[0]")
        prefix = P if self.path.startswith(P) else ""
        return {prefix + path: [value]} if is_item else {self.path: value}


OPTIONS = [
    Option(f"{P}.name", "external"),
    Option(f"{P}.networks[0]", "1.2.3.0/24", {f"{P}.gateways": ["1.2.3.1"]}, stripped=True),
    Option(f"{P}.interface", "eth0.100"),
    Option(f"{P}.onlink_networks[0]", "1.2.0.0/16", stripped=True),
    Option(f"{P}.vlan.parent", "eth0"),
    Option(f"{P}.vlan.id", "100", stripped=True),
    Option(f"{P}.vlan.mtu", "1500", stripped=True),
    Option(f"{P}.gateways[0]", "1.2.3.1", stripped=True),
    Option(f"{P}.addresses[0]", "1.2.3.251", stripped=True),
    Option(f"{P}.case", "policy_routing"),
    Option(f"{P}.table", "100", ROUTED, stripped=True),
    Option(f"{P}.mark", "0x100", ROUTED, stripped=True),
    Option(f"{P}.deny[0]", "10.9.0.0/16", ROUTED, stripped=True),
    Option(f"{P}.dedicated", "false", stripped=True),
    Option(f"{P}.rp_filter", "strict"),
    Option(f"{P}.node_services", "true", ROUTED, stripped=True),
    Option("cluster.pod_networks[0]", "10.112.0.0/12", stripped=True),
    Option("cluster.service_networks[0]", "10.96.0.0/12", stripped=True),
    Option("cluster.node_addresses[0]", "192.168.1.11", stripped=True),
    Option("cluster.api_servers[0]", "192.168.1.5", stripped=True),
    Option("cluster.kube_proxy_mode", "iptables"),
    Option("mark_mask", "0x1f00", stripped=True),
    Option("priority_base", "2000", stripped=True),
    Option("table_base", "7701", stripped=True),
    Option("protocol", "77", stripped=True),
    Option("iptables_variant", "nft"),
    Option("state", STATES[0]),
]


def test_no_option_is_left_out() -> None:
    expected = {
        *(f"pools.{name}" for name in pool_options() if name != "vlan"),
        *(f"pools.vlan.{name}" for name in vlan_options()),
        *(f"cluster.{name}" for name in cluster_options()),
        *settings_options(),
        *(name for name in argument_spec() if name not in ("pools", "cluster")),
    }
    assert {option.name for option in OPTIONS} == expected


def spoilt(value: str, character: str) -> Iterator[str]:
    """Yield the value with the character in, after and before it; blanks only in it."""
    middle = len(value) // 2
    yield value[:middle] + character + value[middle:]
    if character not in BLANKS:
        yield value + character
        yield character + value


@pytest.mark.parametrize("character", METACHARACTERS.values(), ids=METACHARACTERS)
@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_is_refused(option: Option, character: str) -> None:
    """The error has the path and a remedy, and shows the character in a form that a terminal does not interpret."""
    given = {**option.given, **option.with_value(option.value)}
    shown = ascii(character)[1:-1]
    for value in spoilt(option.value, character):
        flaw = Flaw(option.with_value(value), option.path, (shown,), given)
        assert check(flaw).isprintable()


@pytest.mark.parametrize("blank", sorted(BLANKS), ids=ascii)
@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_blanks_around_a_value_are_refused_or_removed(option: Option, blank: str) -> None:
    valid = changed(VALID, {**option.given, **option.with_value(option.value)})
    for value in (option.value + blank, blank + option.value):
        if option.stripped:
            assert parse_declaration(changed(valid, option.with_value(value))) == parse_declaration(valid)
        else:
            given = {**option.given, **option.with_value(option.value)}
            check(Flaw(option.with_value(value), option.path, (ascii(blank)[1:-1],), given))


#: Options of objects with a valid value each; second those whose surrounding blanks are removed. The rules of a chain are
#: text for iptables and may contain these characters; they are only limited to one line.
OBJECTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "links": ({"name": "eth0.100", "kind": "vlan", "parent": "eth0"}, {"vlan_id": "100", "mtu": "1500", "up": "true"}),
    "routes": (
        {"type": "unicast", "interface": "eth1", "family": "ipv4"},
        {
            "destination": "5.6.7.0/24",
            "table": "100",
            "gateway": "5.6.7.1",
            "metric": "100",
            "onlink": "no",
            "source": "5.6.7.9",
        },
    ),
    "rules": (
        {"action": "lookup", "iif": "eth1", "oif": "lo", "family": "ipv4"},
        {
            "priority": "50",
            "table": "100",
            "source": "1.2.3.4",
            "destination": "5.6.7.0/24",
            "fwmark": "0x10/0xffffff",
            "invert": "yes",
            "suppress_prefixlength": "16",
        },
    ),
    "chains": ({"name": "SITE-A", "table": "raw", "family": "ipv4", "hook": "PREROUTING"}, {}),
}


@pytest.mark.parametrize("character", METACHARACTERS.values(), ids=METACHARACTERS)
@pytest.mark.parametrize(
    ("kind", "option"), [(kind, option) for kind, parts in OBJECTS.items() for part in parts for option in part]
)
def test_is_refused_in_objects(kind: str, option: str, character: str) -> None:
    plain, stripped = OBJECTS[kind]
    valid = {**plain, **stripped}
    parse = PARSERS[kind][1]
    assert len(parse([valid])) == 1
    values = [*spoilt(valid[option], character), *(valid[option] + character for _ in [0] if option in plain)]
    for value in values:
        with pytest.raises(InputErrors) as caught:
            parse([{**valid, option: value}])
        assert_only(caught.value, f"{kind}[0].{option}", (ascii(character)[1:-1],))
        assert str(caught.value).isprintable()


def test_no_option_of_objects_is_left_out() -> None:
    for kind, parts in OBJECTS.items():
        options = set(PARSERS[kind][0][kind]["options"]) - {"rules", "goto"}  # goto goes with no other action
        assert {option for part in parts for option in part} == options
