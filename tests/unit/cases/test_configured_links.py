# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link that was created for a pool, and that another program has configured since, as a DHCP client does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import Pool, Vlan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address, Node, Route
from tests.unit.nodes import cluster_node, declaration, pool

VLAN = Vlan("eth0", 100)
LEASE = Address("eth0.100", "1.2.3.77/24")
#: What a DHCP client adds on a node whose other default route has a worse metric, or is missing.
ROUTES = {
    Route("ipv4", 254, "1.2.3.0/24", metric=1024, interface="eth0.100", source="1.2.3.77"),
    Route("ipv4", 254, "0.0.0.0/0", gateway="1.2.3.1", interface="eth0.100", metric=1024),
}


def small_pool(**changes: Any) -> Pool:
    """Return a pool that contains neither the lease nor the router."""
    return pool(networks=("1.2.3.128/26",), **changes)


def configured_node(*, managed: bool = True, address: Address = LEASE, default: bool = True) -> Node:
    node = cluster_node()
    link = replace(node.interfaces["eth0.100"], managed=managed, addresses=(address.address,))
    others = {route for route in node.foreign_routes if not (default and route.is_default and route.family == "ipv4")}
    routes = {route for route in ROUTES if default or not route.is_default}
    return replace(
        node,
        interfaces={**node.interfaces, link.name: link},
        foreign_addresses=node.foreign_addresses | {address},
        foreign_routes=frozenset(others | routes),
    )


@pytest.mark.parametrize(
    "changes", [{}, {"case": "policy_routing"}, {"case": "same_subnet"}, {"gateways": (), "case": "onlink_route"}]
)
def test_the_routing_of_the_pool_is_not_given_up(changes: dict[str, Any]) -> None:
    """``auto`` chose same_subnet, which removed the chains and the link itself."""
    with pytest.raises(InputErrors) as caught:
        compile_node(declaration(small_pool(vlan=VLAN, **changes)), configured_node())
    assert caught.value.errors[0].path == "pools[0].interface"
    assert "eth0.100 was created for this pool, but another program has configured it since" in str(caught.value)
    assert "1.2.3.77/24" in str(caught.value)


def test_a_foreign_link_may_be_the_node_s_own() -> None:
    for vlan in (VLAN, None):
        (choice,) = compile_node(declaration(small_pool(vlan=vlan)), configured_node(managed=False)).choices
        assert choice.case == "same_subnet"


def warnings(node: Node, **changes: Any) -> list[str]:
    compiled = compile_node(declaration(pool(vlan=VLAN, **changes)), node)
    return [text for text in compiled.warnings if "another program has added" in text]


@pytest.mark.parametrize("address", ["1.2.3.77/24", "192.0.2.9/24", "fd00:9::1/64"])
def test_a_foreign_address_is_named(address: str) -> None:
    (text,) = warnings(configured_node(address=Address("eth0.100", address), default=False))
    assert text.startswith("pools[0].interface: eth0.100 was created for its pools, but another program has added")
    assert address in text


@pytest.mark.parametrize(("address", "declared"), [("fe80::1/64", ()), ("1.2.3.251/32", ("1.2.3.251/32",))])
def test_link_local_and_declared_addresses_are_not_foreign(address: str, declared: tuple[str, ...]) -> None:
    """Before Linux 5.18 addresses have no protocol, so declared ones look foreign."""
    node = configured_node(address=Address("eth0.100", address), default=False)
    assert not warnings(node, addresses=declared)


def test_foreign_addresses_on_foreign_links_are_not_judged() -> None:
    assert not warnings(configured_node(managed=False, default=False))
