# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused by the modules for one kind of object, with its place, a reason and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.modules import assert_error
from tests.support.node import Node
from tests.support.pools import Parameters


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node on which nothing is ever written."""
    with Node() as made:
        yield made


#: One entry of each module, to show that the module reads them, and what only iptables can check; every other flaw of an
#: entry is tested in tests/unit/declaration. Then the markers of ownership.
BAD_OBJECTS: list[tuple[str, Parameters, str, str, str]] = [
    (
        "ip_links",
        {"links": [{"name": "mv0", "kind": "macvlan"}]},
        "links[0].parent",
        "a macvlan link needs a parent",
        "Give the name of the link below it",
    ),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24"}]},
        "routes[0].interface",
        "a unicast route needs an interface",
        "Give the link that the packets leave by, or another type",
    ),
    (
        "ip_rules",
        {"rules": [{"priority": 5, "table": "100", "fwmark": "0x2000/0x1f00"}]},
        "rules[0].fwmark",
        "0x2000/0x1f00 has bits outside its mask, so it can never match",
        "Give value/mask, as in",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "OTHER", "table": "raw"}]},
        "chains[0].name",
        "OTHER does not begin with SITE-, the prefix of managed chains",
        "Use a name such as SITE-OTHER",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j NOWHERE"]}]},
        "chains[0].rules[0]",
        "Chain 'NOWHERE' does not exist. The rule is: -j NOWHERE",
        "Correct it as iptables-extensions(8)",
    ),
    (
        "ip_links",
        {"links": [], "purge": True, "owner": ""},
        "owner",
        "every link without an alias would be treated as managed",
        "Use a word of your own",
    ),
    (
        "ip_routes",
        {"routes": [], "purge": True, "protocol": 2},
        "protocol",
        "2 belongs to the kernel",
        "Use a number from 5 to 255",
    ),
    (
        "ip_rules",
        {"rules": [], "purge": True, "protocol": 77},
        "protocol",
        "77 belongs to homeward.metallb_routing.pool_routing",
        "Use a number from 5 to 255",
    ),
    (
        "iptables_chains",
        {"prefix": "KUBE-", "chains": [], "purge": True},
        "prefix",
        "whose chains would be treated as managed",
        "Use a word of your own",
    ),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [], "comment": "a\n-j ACCEPT"},
        "comment",
        "is not a valid comment: one line",
        "Shorten it",
    ),
]


@pytest.mark.parametrize(
    ("module", "parameters", "path", "reason", "remedy"), BAD_OBJECTS, ids=[f"{row[0]} {row[2]}" for row in BAD_OBJECTS]
)
def test_bad_objects(node: Node, module: str, parameters: Parameters, path: str, reason: str, remedy: str) -> None:
    assert_error(node.refuse(module, parameters), path, reason, remedy)
