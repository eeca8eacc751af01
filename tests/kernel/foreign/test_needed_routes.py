# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever foreign routes a node has, reading only the needed ones gives the same result as reading all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.compile import compile_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.links import settings_to_read
from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.needed_routes import needed_routes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import argument_spec
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import HomewardError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.reader import Scope, read_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.plan import make_plan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Node as NodeValue
from tests.support.examples import examples
from tests.support.node import Node
from tests.support.pools import EXTERNAL, INSIDE, SECOND, SHARED, STORAGE, Parameters, declared
from tests.support.random_pools import declarations

LINKS = ("eth0", "eth0.100", "eth0.200", "eth1", "eth2")
PROTOCOLS = ("kernel", "boot", "static", "ra", "zebra", "bird", "bgp", "ospf", "dhcp", "99")
DESTINATIONS = (
    "default", "0.0.0.0/1", "128.0.0.0/1", "1.0.0.0/8", "1.2.0.0/16", "1.2.3.0/24", "1.2.3.1/32", "1.2.3.128/25", "1.2.4.0/22",
    "1.2.5.0/24", "1.2.5.1/32", "1.2.5.201/32", "10.9.8.0/24", "10.9.0.0/16", "10.9.8.7/32", "20.0.0.0/8", "20.1.128.0/20",
    "20.1.128.1/32", "20.2.0.0/16", "192.168.0.0/16", "192.168.1.0/25", "192.168.1.1/32", "192.168.1.12/32", "10.112.0.0/12",
    "10.113.7.0/24", "10.112.0.9/32", "203.0.113.0/24", "169.254.9.0/24", "172.16.0.0/12", "9.9.0.0/16",
)  # fmt: skip
DESTINATIONS_6 = (
    "default", "::/1", "fd00::/8", "fd00:1:2::/48", "fd00:1:2:3::/64", "fd00:1:2:3::1/128", "fd00:112::/32", "fd00:112:7::/64",
    "fd20:1::/32", "fd20:1:1::/64", "fd20:1:1::1/128", "fd00:192:168:1::1/128", "fd00:192:168:1::12/128", "2001:db8::/32",
)  # fmt: skip
GATEWAYS = ("192.168.1.1", "1.2.3.1", "172.16.0.1")
GATEWAYS_6 = ("fd00:192:168:1::1", "fe80::1", "fd00:172::1")
FIXED = (declared(EXTERNAL, STORAGE, SECOND, SHARED), declared({**EXTERNAL, "node_services": True}, INSIDE))
ARGUMENTS = ArgumentSpecValidator(argument_spec())


@st.composite
def routes(draw: st.DrawFn) -> str:
    """Draw a command that adds a foreign route; it may fail."""
    six = draw(st.booleans())
    link = draw(st.sampled_from(LINKS))
    gateway = draw(st.sampled_from(GATEWAYS_6 if six else GATEWAYS))
    hop = f"via {gateway} dev {link} onlink"
    how = draw(
        st.sampled_from(
            (
                hop,
                hop,
                f"dev {link}",
                f"nexthop {hop} nexthop via {gateway} dev {draw(st.sampled_from(LINKS))} onlink",
                "nhid 7",
            )
        )
    )
    kind = draw(st.sampled_from(["", "", "", "", "blackhole ", "unreachable "]))
    destination = draw(st.sampled_from(DESTINATIONS_6 if six else DESTINATIONS))
    table = draw(st.sampled_from(("main", "main", "main", "main", "7701", "500", "70000")))
    metric = draw(st.sampled_from(("", "metric 50", "metric 7")))
    protocol = draw(st.sampled_from(PROTOCOLS))
    family = "-6" if six else "-4"
    return f"ip {family} route add {kind}{destination} proto {protocol} table {table} {metric} {'' if kind else how}"


def _outcome(parameters: Parameters, node: NodeValue) -> Any:
    try:
        compiled = compile_node(parse_declaration(parameters), node)
        return compiled, make_plan(compiled.state, node)
    except HomewardError as error:
        return str(error)


def _both(parameters: Parameters) -> tuple[Any, Any, int, int]:
    """Return the outcomes of the two ways, and the numbers of foreign routes; called on the node."""
    declaration = parse_declaration(parameters)
    narrow = Scope(sysctls=settings_to_read(declaration), routes=needed_routes(declaration), forwarding=True)
    nodes = [read_node(scope, "") for scope in (narrow, replace(narrow, routes=None))]
    some, all_of_them = nodes
    assert replace(some, foreign_routes=frozenset()) == replace(all_of_them, foreign_routes=frozenset())
    assert some.foreign_routes <= all_of_them.foreign_routes
    outcomes = [_outcome(parameters, node) for node in nodes]
    return outcomes[0], outcomes[1], len(some.foreign_routes), len(all_of_them.foreign_routes)


@pytest.mark.random
def test_random_routes_and_pools() -> None:
    """Each node has a thousand routes of a daemon as well, so that most of them are not looked at one by one."""
    daemon = "\n".join(f"route add 20.{n // 256}.{n % 256}.0/24 via 172.16.0.1 proto bgp" for n in range(1000))

    @examples(25)
    @given(st.lists(routes(), max_size=25), st.lists(declarations(), min_size=2, max_size=4), st.booleans())
    def decides_as_a_full_read(lines: list[str], declared_ones: list[Parameters], forwarding: bool) -> None:
        with Node() as node:
            node.host.run(f"ip -batch - <<'EOF'\n{daemon}\nEOF")
            node.host.run(
                "\n".join(["ip nexthop add id 7 via 172.16.0.9 dev eth2", *(f"{line} || true" for line in lines)])
            )
            if not forwarding:
                node.host.set_sysctl("net/ipv4/conf/eth2/forwarding", 0)
            for parameters in (*declared_ones, *FIXED):
                some, everything, read, there = node.call(_both, ARGUMENTS.validate(parameters).validated_parameters)
                assert some == everything
                assert read < there

    decides_as_a_full_read()
