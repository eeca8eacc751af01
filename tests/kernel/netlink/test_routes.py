# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, written and read; the witness is ``ip -json``."""

from __future__ import annotations

from itertools import permutations

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Route
from tests.support import ip_witness
from tests.support.namespace import Namespace
from tests.support.steps import add, change, delete, read, succeed, write

LAST = 4294967294
ROUTES = (
    Route("ipv4", 7701, "10.9.8.0/24", interface="eth0"),
    Route("ipv4", 7701, "0.0.0.0/0", gateway="10.0.0.254", interface="eth0"),
    Route("ipv4", 7701, "0.0.0.0/0", metric=LAST, type="unreachable"),
    Route("ipv4", 254, "10.9.9.0/24", metric=50, gateway="192.0.2.1", interface="eth0", onlink=True),
    Route("ipv4", 100, "10.9.9.9/32", interface="eth0", source="10.0.0.1"),
    Route("ipv4", 4294967295, "10.9.7.0/24", type="blackhole"),
    Route("ipv4", 7702, "10.9.6.0/24", type="prohibit"),
    Route("ipv4", 7702, "10.9.5.0/24", type="throw"),
    Route("ipv6", 7701, "fd09::/64", interface="eth0"),
    Route("ipv6", 7701, "::/0", gateway="fd00::fe", interface="eth0"),
    Route("ipv6", 7701, "::/0", metric=LAST, type="unreachable"),
    Route("ipv6", 254, "fd09:1::/64", metric=50, gateway="fd55::1", interface="eth0", onlink=True),
    Route("ipv6", 100, "fd09:2::9/128", interface="eth0", source="fd00::1"),
    Route("ipv6", 7702, "fd09:3::/64", type="blackhole"),
    Route("ipv6", 7702, "fd09:4::/64", type="prohibit"),
    Route("ipv6", 7702, "fd09:5::/64", type="throw"),
)


def test_routes_are_written_read_back_and_deleted_without_a_trace(namespace: Namespace) -> None:
    before = ip_witness.everything(namespace)
    succeed(namespace, add(*ROUTES))
    assert ip_witness.routes(namespace) == set(ROUTES)
    assert read(namespace, Route)[0] == set(ROUTES)
    succeed(namespace, delete(*reversed(ROUTES)))
    assert ip_witness.everything(namespace) == before


@pytest.mark.parametrize("length", range(1, 16))
def test_interface_names_of_every_length_and_with_dots(namespace: Namespace, length: int) -> None:
    name = "if.5678.0123.45"[:length].rstrip(".").ljust(length, "x")
    namespace.ip(f"link add {name} type veth peer name other", f"link set {name} up", "link set other up")
    route = Route("ipv4", 7701, "10.9.8.0/24", interface=name)
    succeed(namespace, add(route))
    assert ip_witness.routes(namespace) == {route} == read(namespace, Route)[0]


def _variants(family: str) -> list[Route]:
    network, near, other, far, own = {
        "ipv4": ("10.9.0.0/24", "10.0.0.2", "10.0.0.3", "10.77.0.1", "10.0.0.1"),
        "ipv6": ("fd09::/64", "fd00::2", "fd00::3", "fd77::1", "fd00::1"),
    }[family]
    return [
        Route(family, 7705, network, 50, gateway=near, interface="eth0"),
        Route(family, 7705, network, 50, gateway=other, interface="eth0"),
        Route(family, 7705, network, 50, gateway=far, interface="eth0", onlink=True),
        Route(family, 7705, network, 50, interface="eth0"),
        Route(family, 7705, network, 50, interface="peer0"),
        Route(family, 7705, network, 50, interface="eth0", source=own),
        Route(family, 7705, network, 50, type="unreachable"),
        Route(family, 7705, network, 50, type="blackhole"),
        Route(family, 7705, network, 50, type="throw"),
    ]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_change_reroutes_any_route_with_any_other(namespace: Namespace, family: str) -> None:
    other_metric = Route(family, 7705, _variants(family)[0].destination, 60, type="unreachable")
    succeed(namespace, add(other_metric))
    for before, after in permutations(_variants(family), 2):
        succeed(namespace, add(before))
        succeed(namespace, [change(before, after)])
        assert ip_witness.routes(namespace) == {other_metric, after}, f"{before} -> {after}"
        succeed(namespace, delete(after))
        assert ip_witness.routes(namespace) == {other_metric}, f"delete {after}"


def test_foreign_routes_are_read_and_left_unchanged(namespace: Namespace) -> None:
    namespace.ip(
        "route add 10.20.0.0/16 via 10.0.0.7 dev eth0 proto 4",
        "route add 10.21.0.0/16 proto 4 nexthop via 10.0.0.2 dev eth0 nexthop via 10.0.0.3 dev eth0",
        "route add fd21::/64 proto 4 nexthop via fd00::2 dev eth0 nexthop via fd00::3 dev eth0",
        "route add 10.22.0.0/16 via 10.0.0.8 dev eth0 proto 4 mtu 1300 table 7701",
        "route add 10.23.0.0/16 via inet6 fd00::8 dev eth0 proto 4",
        "nexthop add id 5 via 10.0.0.9 dev eth0",
        "route add 10.24.0.0/16 nhid 5 proto 4",
        "route add local 10.25.0.1/32 dev eth0 table 7702 proto 4",
    )
    before = ip_witness.everything(namespace)
    foreign = read(namespace, Route)[1]
    assert {route for route in foreign if route.table != 254 or route.destination.startswith(("10.2", "fd21"))} == {
        Route("ipv4", 254, "10.20.0.0/16", gateway="10.0.0.7", interface="eth0"),
        *(
            Route("ipv4", 254, "10.21.0.0/16", gateway=gateway, interface="eth0", multipath=True)
            for gateway in ("10.0.0.2", "10.0.0.3")
        ),
        *(
            Route("ipv6", 254, "fd21::/64", gateway=gateway, interface="eth0", multipath=True)
            for gateway in ("fd00::2", "fd00::3")
        ),
        Route("ipv4", 7701, "10.22.0.0/16", gateway="10.0.0.8", interface="eth0"),
        Route("ipv4", 254, "10.23.0.0/16", gateway="fd00::8", interface="eth0"),
        Route("ipv4", 254, "10.24.0.0/16", gateway="10.0.0.9", interface="eth0"),
        Route("ipv4", 7702, "10.25.0.1/32", type="local", interface="eth0"),
    }
    assert not any(route.table == 255 for route in foreign)
    succeed(namespace, add(*ROUTES))
    succeed(namespace, delete(*ROUTES))
    same_but_foreign = Route("ipv4", 254, "10.20.0.0/16", gateway="10.0.0.7", interface="eth0")
    assert write(namespace, delete(same_but_foreign)).reason.startswith("ESRCH: ")
    assert ip_witness.everything(namespace) == before


def test_a_managed_route_with_extra_attributes_can_be_deleted_and_added_again(namespace: Namespace) -> None:
    namespace.ip(
        "route add 10.30.0.0/16 via 10.0.0.7 dev eth0 proto 77 mtu 1300",
        "route add 10.31.0.0/16 proto 77 nexthop via 10.0.0.2 dev eth0 nexthop via 10.0.0.3 dev eth0",
        "route add fd31::/64 proto 77 nexthop via fd00::2 dev eth0 nexthop via fd00::3 dev eth0",
        "route add 10.32.0.0/16 dev eth0 scope global proto 77",
        "route add 10.33.0.0/16 via 10.0.0.7 tos 0x10 proto 77",
        "nexthop add id 5 via 10.0.0.9 dev eth0",
        "route add 10.34.0.0/16 nhid 5 proto 77",
    )
    before = [namespace.ip_json(f"{options} route show proto 77") for options in ("-4", "-6")]
    odd = read(namespace, Route)[0]
    assert len(odd) == 6
    assert all(route.extra for route in odd)
    succeed(namespace, delete(*odd))
    assert read(namespace, Route)[0] == set()
    succeed(namespace, add(*sorted(odd)))
    assert [namespace.ip_json(f"{options} route show proto 77") for options in ("-4", "-6")] == before
    plain = Route("ipv4", 254, "10.30.0.0/16", gateway="10.0.0.7", interface="eth0")
    succeed(namespace, [change(next(route for route in odd if route.key == plain.key), plain)])
    assert plain in read(namespace, Route)[0]
