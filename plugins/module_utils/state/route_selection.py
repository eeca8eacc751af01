# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which foreign routes a run needs. A node with a BGP daemon may have a million others."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .family import contains, covering
from .route import Route

LINK_LOCAL = "fe80::/10"  # RFC 4291 section 2.5.6
#: Of each table other than main, so many foreign routes are read at least; they only show that the table is in use.
ROUTES_PER_TABLE = 1000
#: Of the routes over one of the whole links, so many are read at most, for each family.
ROUTES_PER_LINK = 10_000


@dataclass(frozen=True)
class RouteSelection:
    """Which foreign routes are read, besides the default routes and :data:`ROUTES_PER_TABLE` of each table but main.

    :param around: addresses and networks: all routes are read whose destination contains one of them.
    :param within: networks: all routes are read whose destination is inside one of them.
    :param links: by the name of a link, the networks on it: of the other routes over it, at least one is read.
    :param whole_links: by the name of a link, gateways: all routes over the link are read, up to :data:`ROUTES_PER_LINK`, but
        those with one of the gateways.
    :param endpoints: networks: of the routes to networks inside them, at least one is read for each link.
    """

    around: frozenset[str] = frozenset()
    within: frozenset[str] = frozenset()
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whole_links: Mapping[str, frozenset[str]] = field(default_factory=dict)
    endpoints: frozenset[str] = frozenset()

    def also(self, around: Iterable[str], within: Iterable[str] = ()) -> RouteSelection:
        """Return the same with further addresses and networks."""
        return replace(self, around=self.around | set(around), within=self.within | set(within))


def routes_to(routes: Iterable[Route]) -> RouteSelection:
    """Return what a plan needs that makes these routes: those with the same destinations."""
    return RouteSelection(frozenset(route.destination for route in routes))


def belongs_to_link(route: Route, onlink: Collection[str]) -> bool:
    """Whether a route is one that every link has, is to a network on the link, or is on-link and covers such a network.

    Routes with a gateway and default routes, of any table, lead beyond the link: replies to what the node sends there arrive
    on it.

    :param onlink: the networks on the link.
    """
    network: Any = ipaddress.ip_network(route.destination)
    if network.is_link_local or network.is_multicast or covering(onlink, route.destination):
        return True
    if route.gateway or route.is_default:
        return False
    return any(contains(route.destination, inner) for inner in onlink)


def unread_gateways(routes: Iterable[Route], selection: RouteSelection) -> frozenset[str]:
    """Return the gateways of the default routes among these, if the route to them may not have been read."""
    found = {route.gateway for route in routes if route.is_default and route.gateway} - selection.around
    return frozenset(gateway for gateway in found if not covering((LINK_LOCAL, *selection.within), gateway))
