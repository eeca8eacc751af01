# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused by the modules for one kind of object, with its place, a reason and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.node import EngineNode, assert_told
from tests.support.pools import Parameters


@pytest.fixture(scope="module")
def node() -> Iterator[EngineNode]:
    """A node on which nothing is ever written."""
    with EngineNode() as made:
        yield made


BAD_OBJECTS: list[tuple[str, Parameters, str, str, str]] = [
    (
        "ip_links",
        {"links": [{"name": "x" * 16, "kind": "dummy"}]},
        "links[0].name",
        "xxxxxxxxxxxxxxxx has 16 bytes, but the kernel allows 15",
        "Give the name as `ip -brief link` shows it",
    ),
    (
        "ip_links",
        {"links": [{"name": "mv0", "kind": "macvlan"}]},
        "links[0].parent",
        "a macvlan needs a link below it",
        "Name it",
    ),
    (
        "ip_links",
        {"links": [{"name": "v", "parent": "eth0", "vlan_id": 4095}]},
        "links[0].vlan_id",
        "4095 is out of range",
        "Give a number up to 4094",
    ),
    (
        "ip_links",
        {"links": [{"name": "v", "parent": "eth0"}]},
        "links[0].vlan_id",
        "0 does not go with kind vlan",
        "A vlan, and only a vlan, has an id of 1-4094",
    ),
    (
        "ip_links",
        {"links": [{"name": "d", "kind": "dummy", "mtu": 99999}]},
        "links[0].mtu",
        "99999 is out of range",
        "Give a number up to 65535",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.1/24", "interface": "eth1"}]},
        "routes[0].destination",
        "5.6.7.1/24 has host bits set",
        "Give a network as address/length",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24"}]},
        "routes[0].interface",
        "a unicast route needs the link it leaves by",
        "Name it, or give another type",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.8/32", "interface": "eth1", "table": "255"}]},
        "routes[0].table",
        "the table local is the kernel's own, whose routes are not read",
        "Take another one",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1", "gateway": "0.0.0.0"}]},  # noqa: S104 - no host's
        "routes[0].gateway",
        "0.0.0.0 is no host's address, the kernel takes it for none",
        "Leave it out",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "nonsense", "interface": "eth1"}]},
        "routes[0].destination",
        "'nonsense' does not appear to be an IPv4 or IPv6 network",
        "Give a network as address/length",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "gateway": "fd00::1", "interface": "eth1"}]},
        "routes[0].gateway",
        "fd00::1 is not ipv4, as the destination is",
        "Give an address of the same family",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "interface": "eth1", "table": "nine"}]},
        "routes[0].table",
        "'nine' is not a number",
        "Give a number up to 4294967295",
    ),
    (
        "ip_routes",
        {
            "routes": [
                {"destination": "5.6.7.0/24", "interface": "eth1"},
                {"destination": "5.6.7.0/24", "interface": "eth2"},
            ]
        },
        "routes[1]",
        "5.6.7.0/24 dev eth2 table main contradicts routes[0], 5.6.7.0/24 dev eth1",
        "Declare one of them",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 0, "table": "100"}]},
        "rules[0].priority",
        "0 is the priority of the kernel's own first rule",
        "Give 1 to 32765",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5}]},
        "rules[0].table",
        "action lookup and table none do not go together",
        "Give a table with lookup",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "action": "goto", "goto": 4}]},
        "rules[0].goto",
        "action goto with goto 4",
        "Give goto a priority above its own",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "table": "100", "fwmark": "0x2000/0x1f00"}]},
        "rules[0].fwmark",
        "0x2000/0x1f00 has bits outside its mask, so it can never match",
        "Give value/mask with the value inside",
    ),
    *(
        (
            "ip_rules",
            {"rules": [{"priority": 5, "table": "100", "family": family, "suppress_prefixlength": length}]},
            "rules[0].suppress_prefixlength",
            f"{length} is out of range",
            f"Give a number up to {largest}",
        )
        for family, length, largest in (("ipv4", -1, 32), ("ipv4", 33, 32), ("ipv6", 129, 128))
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "action": "blackhole", "suppress_prefixlength": 0}]},
        "rules[0].suppress_prefixlength",
        "action blackhole finds no result",
        "Give it with lookup only",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "table": "100", "source": "1.2.3.4/8"}]},
        "rules[0].source",
        "1.2.3.4/8 has host bits set",
        "Give a network as address/length",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "OTHER", "table": "raw"}]},
        "chains[0].name",
        "OTHER does not begin with SITE-, by which our chains are known",
        "Name it so",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-" + "x" * 30, "table": "raw"}]},
        "chains[0].name",
        "is not a chain's name",
        "Use at most 28 letters, digits, and . _ : - in it",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "hook": "FORWARD"}]},
        "chains[0].hook",
        "table raw has no built-in chain FORWARD",
        "Take one of PREROUTING, OUTPUT",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j NOWHERE"]}]},
        "chains[0].rules[0]",
        "Chain 'NOWHERE' does not exist. The rule is: -j NOWHERE",
        "Correct it as iptables-extensions(8)",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j DROP", "-s x\n-j DROP"]}]},
        "chains[0].rules[1]",
        "a rule is one line",
        "Give one list entry per rule",
    ),
    (
        "ip_links",
        {"links": [], "purge": True, "owner": ""},
        "owner",
        "every link without an alias would count as ours",
        "Take a word of your own",
    ),
    (
        "ip_routes",
        {"routes": [], "purge": True, "protocol": 2},
        "protocol",
        "2 belongs to the kernel",
        "Take a number from 5 to 255",
    ),
    (
        "ip_rules",
        {"rules": [], "purge": True, "protocol": 77},
        "protocol",
        "77 belongs to homeward.metallb_routing.pool_routing",
        "Take a number from 5 to 255",
    ),
    (
        "iptables_chains",
        {"prefix": "KUBE-", "chains": [], "purge": True},
        "prefix",
        "whose chains would count as ours",
        "Take a word of your own",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [], "comment": "a\n-j ACCEPT"},
        "comment",
        "is no comment: one line",
        "Shorten it",
    ),
]


@pytest.mark.parametrize(
    ("module", "parameters", "path", "reason", "remedy"), BAD_OBJECTS, ids=[f"{row[0]} {row[2]}" for row in BAD_OBJECTS]
)
def test_bad_objects(
    node: EngineNode, module: str, parameters: Parameters, path: str, reason: str, remedy: str
) -> None:
    assert_told(node.refuse(module, parameters), path, reason, remedy)
