# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading only the selected foreign routes, next to many others; the witness is a full read."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import route_filter
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.route_filter import RouteFilter
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.routes import read_routes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Route
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import contains, covering
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route_selection import (
    ROUTES_PER_TABLE,
    RouteSelection,
)
from tests.support.namespace import Namespace
from tests.support.steps import OWNERSHIP, add, inside, read, succeed

MANAGED = (Route("ipv4", 254, "20.9.8.0/25", interface="eth0"), Route("ipv6", 7701, "2a00:5:5::/48", interface="eth0"))
#: How a daemon's routes may be written, by family; the kernel lists each in another layout.
LAYOUTS = {
    "gateway": ("via 10.0.0.9", "via fd00::9"),
    "metric": ("via 10.0.0.9 metric 20", "via fd00::9 metric 20"),
    "next-hops": ("nexthop via 10.0.0.9 nexthop via 10.0.0.8", "nexthop via fd00::9 nexthop via fd00::8"),
    "nexthop-object": ("nhid 5", "nhid 6"),
    "on-link": ("dev eth0", "dev eth0"),
    "other-family": ("via inet6 fd00::9 dev eth0", "via fd00::9 dev eth0"),
}
COUNT = 3000
AROUND = frozenset({"20.3.77.9", "20.4.0.0/30", "2a00:77::1", "172.20.0.1", "9.9.9.9"})
WITHIN = frozenset({"20.5.8.0/22", "2a00:6f0::/28"})


class Reading(NamedTuple):
    """What a read returned, and how many messages it looked at one by one."""

    managed: frozenset[Route]
    foreign: frozenset[Route]
    looked_at: int


@pytest.fixture
def crowded(namespace: Namespace) -> Namespace:
    """Return a namespace where peer0 has an address, and routes may be added."""
    namespace.ip("address add 10.1.0.1/16 dev peer0", "address add fd01::1/64 dev peer0 nodad")
    namespace.ip("nexthop add id 5 via 10.0.0.9 dev eth0", "nexthop add id 6 via fd00::9 dev eth0")
    succeed(namespace, add(*MANAGED))
    return namespace


def fill(namespace: Namespace, layout: str, table: str = "main", count: int = COUNT) -> None:
    """Add the routes of a daemon."""
    four, six = LAYOUTS[layout]
    lines = (
        line
        for number in range(count)
        for line in (
            f"route add 20.{number // 256}.{number % 256}.0/24 proto bird table {table} {four}",
            f"route add 2a00:{number:x}::/32 proto bird table {table} {six}",
        )
    )
    namespace.ip(*lines)


def reading(namespace: Namespace, selection: RouteSelection) -> Reading:
    """Read the selected routes in the namespace."""
    return namespace.call(inside, functools.partial(_read, selection=selection))


def _read(netlink: Rtnetlink, selection: RouteSelection) -> Reading:
    looked_at = 0
    look = RouteFilter.__call__

    def counting(self: RouteFilter, *arguments: Any) -> bool:
        nonlocal looked_at
        looked_at += 1
        return look(self, *arguments)

    RouteFilter.__call__ = counting  # type: ignore[method-assign]  # this process ends with the call
    managed, foreign = read_routes(netlink, OWNERSHIP, read_links(netlink, OWNERSHIP).names, selection)
    return Reading(managed, foreign, looked_at)


def selected(routes: Iterable[Route], around: Iterable[str], within: Iterable[str]) -> set[Route]:
    """Return the routes that must have been read."""
    return {
        route
        for route in routes
        if route.is_default
        or any(contains(route.destination, one) for one in around)
        or covering(within, route.destination)
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_routes_around_and_inside_networks_are_read_and_others_are_not_looked_at(
    crowded: Namespace, layout: str
) -> None:
    fill(crowded, layout)
    crowded.ip(
        "route add default via 10.0.0.9 metric 9",
        "route add default via fd00::9 metric 9",
        "route add 20.0.0.0/7 via 10.0.0.7",
        "route add 20.3.77.8/31 dev peer0",
        "route add 2a00::/15 via fd00::7",
        "route add 128.0.0.0/1 dev peer0 table 500",
        "route add 2a00:77::1/128 nexthop via fd00::9 nexthop via fd01::9",
    )
    managed, foreign = read(crowded, Route)
    read_now = reading(crowded, RouteSelection(AROUND, WITHIN))
    assert managed == read_now.managed == set(MANAGED)
    in_main = {route for route in foreign if route.table == 254}
    assert {route for route in read_now.foreign if route.table == 254} == selected(in_main, AROUND, WITHIN)
    assert len(selected(in_main, AROUND, WITHIN)) >= 10
    assert len(in_main) > 2 * COUNT
    assert read_now.looked_at < COUNT // 2, "datagrams without anything selected are skipped as a whole"


def test_mixed_layouts_lose_nothing(crowded: Namespace) -> None:
    hops = (
        "via 10.0.0.9",
        "via 10.0.0.9 metric 20",
        "nhid 5",
        "dev peer0",
        "nexthop via 10.0.0.9 nexthop via 10.0.0.8",
    )
    crowded.ip(
        *(
            f"route add 20.{number // 256}.{number % 256}.0/{24 if number % 5 else 27} proto {12 + number % 7 // 6}"
            f" {hops[number // 40 % 5]}"
            for number in range(COUNT)
        )
    )
    _managed, foreign = read(crowded, Route)
    around = {f"20.{number // 256}.{number % 256}.{number % 25}" for number in range(0, COUNT, 37)}
    found = reading(crowded, RouteSelection(frozenset(around))).foreign
    expected = selected(foreign, around, ())
    assert found == expected
    assert len(expected) > COUNT // 40


@pytest.mark.parametrize("layout", ["gateway", "next-hops", "on-link"])
def test_of_the_routes_over_a_link_one_that_leads_beyond_it_is_read(crowded: Namespace, layout: str) -> None:
    fill(crowded, layout)
    links = {"eth0": ("10.0.0.0/16",), "peer0": ("10.1.0.0/16", "fd01::/64")}
    by_link: dict[str, set[Route]] = {}
    for route in reading(crowded, RouteSelection(links=links)).foreign:
        by_link.setdefault(route.interface, set()).add(route)
    beyond = {route for route in by_link["eth0"] if route.destination.startswith(("20.", "2a00:"))}
    assert {route.family for route in beyond} == {"ipv4", "ipv6"}
    assert not by_link.get("peer0"), "its own routes do not count"
    crowded.ip("route add 20.5.6.7/32 via 10.1.0.9")
    found = reading(crowded, RouteSelection(links=links)).foreign
    assert Route("ipv4", 254, "20.5.6.7/32", gateway="10.1.0.9", interface="peer0") in found


def test_a_route_over_two_links_may_belong_to_one_of_them(crowded: Namespace) -> None:
    crowded.ip(
        "route add 10.1.9.0/24 nexthop via 10.0.0.9 dev eth0 nexthop via 10.1.0.9 dev peer0",
        "route add 20.5.6.7/32 via 10.1.0.9",
    )
    links = {"eth0": ("10.0.0.0/16",), "peer0": ("10.1.0.0/16",)}
    found = {route.destination for route in reading(crowded, RouteSelection(links=links)).foreign}
    assert {"10.1.9.0/24", "20.5.6.7/32"} <= found


@pytest.mark.parametrize("layout", ["gateway", "next-hops", "on-link"])
def test_all_routes_over_a_selected_link_are_read(crowded: Namespace, layout: str) -> None:
    fill(crowded, layout, count=300)
    crowded.ip("route add 20.5.6.7/32 via 10.1.0.9")
    everything = {route for route in read(crowded, Route)[1] if route.interface == "eth0"}
    assert len(everything) >= 600
    found = reading(crowded, RouteSelection(whole_links={"eth0": frozenset()})).foreign
    assert {route for route in found if route.interface == "eth0"} == everything
    assert Route("ipv4", 254, "20.5.6.7/32", gateway="10.1.0.9", interface="peer0") not in found


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_routes_by_the_gateway_of_a_selected_link_are_not_read(crowded: Namespace, family: str) -> None:
    """Most routes of a daemon, in long runs; those by other gateways among them are read."""
    fill(crowded, "gateway", count=300)
    everything = {route for route in read(crowded, Route)[1] if route.interface == "eth0" and route.family == family}
    (gateway, _count) = Counter(route.gateway for route in everything if route.gateway).most_common(1)[0]
    others = {route for route in everything if route.gateway != gateway}
    assert len(others) < len(everything) - 200
    found = reading(crowded, RouteSelection(whole_links={"eth0": frozenset({gateway})})).foreign
    assert others <= found
    assert sum(route.family == family for route in found) < 100


def test_so_many_routes_over_a_link_are_read_at_most(crowded: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_filter, "ROUTES_PER_LINK", 100)
    fill(crowded, "gateway", count=300)
    found = reading(crowded, RouteSelection(whole_links={"eth0": frozenset()})).foreign
    assert sum(route.interface == "eth0" and route.family == "ipv4" for route in found) < 200


def test_a_route_to_endpoints_is_read_for_each_link(crowded: Namespace) -> None:
    fill(crowded, "gateway")
    crowded.ip("route add 20.2.2.2/32 dev peer0")
    found = reading(crowded, RouteSelection(endpoints=frozenset({"20.0.0.0/12"}))).foreign
    to_endpoints = {route.interface for route in found if route.destination.startswith("20.")}
    assert to_endpoints == {"eth0", "peer0"}
    assert len(found) < COUNT // 10


@pytest.mark.parametrize("table", ["100", "7701", "70000"])
def test_some_routes_of_every_other_table_are_read(crowded: Namespace, table: str) -> None:
    fill(crowded, "gateway", table)
    read_now = reading(crowded, RouteSelection())
    of_table = [route for route in read_now.foreign if route.table == int(table)]
    assert len(of_table) == 2 * ROUTES_PER_TABLE
    assert read_now.managed == set(MANAGED)
    assert read_now.looked_at < 2 * ROUTES_PER_TABLE + COUNT // 2


def test_managed_routes_are_found_between_many_others(crowded: Namespace) -> None:
    fill(crowded, "on-link")
    more = tuple(Route("ipv4", 254, f"20.{n // 256}.{n % 256}.128/25", interface="eth0") for n in range(0, COUNT, 301))
    succeed(crowded, add(*more))
    assert reading(crowded, RouteSelection()).managed == {*MANAGED, *more}
