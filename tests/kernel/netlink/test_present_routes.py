# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making sure that routes are present, without a dump of the main table."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.present_routes import read_present
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Route
from tests.support.namespace import Namespace
from tests.support.steps import OWNERSHIP, add, delete, inside, succeed

ROUTES = (
    Route("ipv4", 7701, "10.9.8.0/24", interface="eth0"),
    Route("ipv4", 7701, "0.0.0.0/0", gateway="10.0.0.254", interface="eth0"),
    Route("ipv4", 70000, "10.9.7.0/24", type="throw"),
    Route("ipv4", 254, "20.9.9.0/24", interface="eth0"),
    Route("ipv4", 254, "20.9.9.1/32", metric=5, interface="eth0"),
    Route("ipv6", 7701, "::/0", gateway="fd00::fe", interface="eth0"),
    Route("ipv6", 7701, "::/0", metric=4294967294, type="unreachable"),
    Route("ipv6", 254, "fd09:1::/64", interface="eth0"),
)
MANY = 2000


def _present(netlink: Rtnetlink, routes: Collection[Route], *, old: bool = False) -> tuple[Any, int]:
    received = 0
    receive = netlink._receive  # noqa: SLF001 - what comes from the kernel is to be counted

    def counted(what: str) -> int:
        nonlocal received
        received += (size := receive(what))
        return size

    names = read_links(netlink, OWNERSHIP).names
    netlink._receive = counted  # type: ignore[method-assign]  # noqa: SLF001
    netlink.filters_dumps = netlink.filters_dumps and not old
    return read_present(netlink, OWNERSHIP, names, routes), received


def present(namespace: Namespace, *routes: Route, **options: bool) -> tuple[Any, int]:
    """Return what was found, and how many bytes the kernel sent."""
    return namespace.call(inside, functools.partial(_present, routes=routes, **options))


@pytest.fixture
def crowded(namespace: Namespace) -> Namespace:
    """Return a namespace with these routes and many others in the main table."""
    namespace.ip(*(f"route add 20.{n // 256}.{n % 256}.0/24 via 10.0.0.9 metric 9 proto bird" for n in range(MANY)))
    succeed(namespace, add(*ROUTES))
    return namespace


def test_present_routes_are_found_without_the_main_table(crowded: Namespace) -> None:
    found, received = present(crowded, *ROUTES)
    assert found == (set(ROUTES), set())
    assert received < 100 * 4 * len(ROUTES), "bytes; the main table has a hundred thousand"


def test_foreign_and_further_managed_routes_of_the_tables_are_found(crowded: Namespace) -> None:
    crowded.ip("route add 10.9.6.0/24 dev eth0 table 7701")
    found, _received = present(crowded, *ROUTES[1:])
    assert found == (set(ROUTES), {Route("ipv4", 7701, "10.9.6.0/24", interface="eth0")})


@pytest.mark.parametrize("missing", ROUTES)
def test_a_missing_route_is_noticed(crowded: Namespace, missing: Route) -> None:
    succeed(crowded, delete(missing))
    assert present(crowded, *ROUTES)[0] is None


@pytest.mark.parametrize("line", ["20.9.9.0/24 via 10.0.0.9", "20.9.9.0/32 dev eth0"])
def test_a_foreign_route_before_it_leaves_it_unknown(crowded: Namespace, line: str) -> None:
    succeed(crowded, delete(ROUTES[3]))
    succeed(crowded, add(Route("ipv4", 254, "20.9.9.0/24", metric=50, interface="eth0")))
    crowded.ip(f"route add {line} metric 1")
    assert present(crowded, Route("ipv4", 254, "20.9.9.0/24", metric=50, interface="eth0"))[0] is None


def test_without_filters_in_the_kernel_it_is_unknown(crowded: Namespace) -> None:
    assert present(crowded, *ROUTES, old=True)[0] is None
