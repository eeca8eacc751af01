# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which links are inferred to be dedicated, and what the user is told about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.listing import listed_cases, saved_cases
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.model import Group
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.node import Interface
from tests.unit.cases.test_compile import with_link
from tests.unit.nodes import cluster_node, declaration, pool

MADE, FOREIGN = (Interface("link0", 9, True, kind="vlan", managed=managed) for managed in (True, False))


def group_of(link: Interface, foreign: Iterable[str] = (), *others: Interface, **options: Any) -> Group:
    """Return the group of a pool on a link with foreign addresses."""
    node = with_link(link, *others) if link.name == "link0" else cluster_node()
    node = replace(node, foreign_addresses=node.foreign_addresses | {Address(link.name, one) for one in foreign})
    (group,) = compile_node(declaration(pool(interface=link.name, **options)), node).groups
    return group


@pytest.mark.parametrize(
    ("address", "on_made", "on_foreign"),
    [
        ("1.2.3.201/24", False, True),  # inside the pool
        ("1.2.3.201/32", False, True),
        ("10.0.0.5/24", True, True),
        ("fd00::5/64", True, True),
        ("2001:db8::1234/64", True, True),  # of a router advertisement
        ("169.254.7.7/16", False, True),  # a BGP peer may be there, and the guard would drop its packets
        ("fe80::1/64", False, False),
    ],
)
def test_an_address_on_a_link_that_was_not_made_for_the_pools_makes_it_shared(
    address: str, on_made: bool, on_foreign: bool
) -> None:
    assert group_of(MADE, [address]).shared is on_made
    assert group_of(FOREIGN, [address]).shared is on_foreign


def test_an_address_that_the_pool_declares_does_not_count() -> None:
    assert not group_of(FOREIGN, ["1.2.3.201/32"], addresses=("1.2.3.201",)).shared


@pytest.mark.parametrize(
    ("kind", "shared"), [("ipvlan", True), ("ipvtap", True), ("macvlan", False), ("macvtap", False), ("vlan", False)]
)
def test_only_links_whose_packets_the_guard_would_see_make_their_parent_shared(kind: str, shared: bool) -> None:
    upper = Interface("upper0", 10, True, kind=kind, parent="link0")
    assert group_of(FOREIGN, (), upper).shared is shared
    assert not group_of(FOREIGN, (), replace(upper, parent="eth0")).shared


@pytest.mark.parametrize(
    ("link", "addresses", "options", "reason"),
    [
        (MADE, (), {}, "made for the pools; if it carries anything else, declare dedicated: false"),
        (
            FOREIGN,
            (),
            {},
            "no addresses, routes or ports of other uses found; if it carries anything else, declare dedicated: false",
        ),
        (
            FOREIGN,
            ("1.2.3.201/24",),
            {},
            "the node has the address 1.2.3.201/24 on it; if it carries only pools, declare dedicated: true",
        ),
        (FOREIGN, ("1.2.3.201/24",), {"dedicated": True}, "declared"),
        (MADE, (), {"dedicated": False}, "declared"),
        (Interface("eth0", 2, True), (), {}, "a default route of the main table uses it"),
    ],
)
def test_the_user_is_told_why_a_link_is_dedicated_or_shared(
    link: Interface, addresses: tuple[str, ...], options: dict[str, Any], reason: str
) -> None:
    group = group_of(link, addresses, **options)
    assert group.sharing_reason == reason
    assert group.shared is not (options.get("dedicated") or "dedicated: false" in reason)


def test_the_state_file_does_not_depend_on_who_connects() -> None:
    nodes = (replace(cluster_node(), ssh_interface="eth0.100", ssh_peer=peer) for peer in ("192.0.2.7", "192.0.2.8"))
    first, second = (compile_node(declaration(pool()), node) for node in nodes)
    reasons = [listed_cases(one)[0]["dedicated_reason"] for one in (first, second)]
    assert reasons == [f"this run's SSH connection from {peer} uses it" for peer in ("192.0.2.7", "192.0.2.8")]
    assert saved_cases(first) == saved_cases(second)
