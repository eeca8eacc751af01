# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds routes again that the kernel flushed with the last IPv4 address of an interface.

Without an address the kernel disables IPv4 on the interface and deletes all routes over it, foreign ones too
(``fib_disable_ip`` in net/ipv4/fib_frontend.c). They can be added again immediately. Of a route with several next hops only
the one over this interface is marked dead, and only a new address revives it; such routes are left unchanged.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence

from ...errors import NodeError, describe
from ...state.extra_attributes import Value
from ...state.family import IPV4
from .codec import Fields, address_text, number, packed
from .routes import is_cached
from .rtnetlink import AF_OF_FAMILY, RTM_GETROUTE, RTM_NEWROUTE, Rtnetlink
from .wire import NLM_F_APPEND, NLM_F_CREATE, Refusal, Request

_PROTOCOL_KERNEL = 2  # RTPROT_KERNEL: routes that the kernel itself adds and deletes with an address
_ONLINK = 4  # RTNH_F_ONLINK; the other flags report the state of the next hop
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)

_Key = frozenset[tuple[str, Value]]  # of a route's fields


class FlushedRoutes:
    """The IPv4 routes over some links before addresses are deleted there.

    :param deleted: the addresses, packed; a route with one of them as its source is deleted rightly.
    :param links: indexes of the links that they are on; without any, nothing is read.
    """

    def __init__(self, netlink: Rtnetlink, deleted: Collection[bytes], links: Collection[int]) -> None:
        self._netlink = netlink
        self._deleted = deleted
        self._links = links
        self._before = _routes(netlink, links)

    def add_again(self) -> str:
        """Add the routes that are missing now; return which ones the kernel refuses and why, ``""`` if none."""
        if not self._before:
            return ""
        try:
            lost = self._add_missing()
        except (NodeError, OSError) as error:
            return f"foreign routes may have been deleted with the last address of the interface: {describe(error)}"
        listed = "; ".join(f"{_text(fields)}: {refusal}" for fields, refusal in lost)
        return f"foreign routes were deleted with the last address of the interface: {listed}" if lost else ""

    def _add_missing(self) -> list[tuple[Fields, Refusal]]:
        left = _routes(self._netlink, self._links).keys()
        flushed = [fields for key, fields in self._before.items() if key not in left]
        missing = [fields for fields in flushed if fields.get("RTA_PREFSRC") not in self._deleted]
        # A gateway must be inside a network that has a route already.
        missing.sort(key=lambda fields: "RTA_GATEWAY" in fields or "RTA_VIA" in fields)
        refused = _add(self._netlink, missing)
        # That network's route may have been a managed one, deleted by an earlier step; the gateway is still on the link.
        onlink = [{**fields, "flags": _ONLINK} for fields, refusal in refused if refusal.errno in _UNREACHABLE]
        return [pair for pair in refused if pair[1].errno not in _UNREACHABLE] + _add(self._netlink, onlink)


def _routes(netlink: Rtnetlink, links: Collection[int]) -> dict[_Key, Fields]:
    """Return the routes over these links; on kernels that do not filter a dump, perhaps others, too."""
    routes = {}
    for fields in (fields for link in links for fields in routes_over(netlink, link)):
        # Of the table local, too: routes that make a whole network local are added there by hand.
        if not is_cached(fields) and fields["proto"] != _PROTOCOL_KERNEL and "RTA_MULTIPATH" not in fields:
            route: Fields = {**fields, "flags": number(fields, "flags") & _ONLINK}
            routes[frozenset(route.items())] = route
    return routes


def routes_over(netlink: Rtnetlink, link: int) -> list[Fields]:
    """Return the routes over a link. The kernel selects them: there may be a million over others."""
    request: Fields = {"family": AF_OF_FAMILY[IPV4], "RTA_OIF": link}
    return netlink.dump_fields(RTM_GETROUTE, netlink.formats.route, f"{IPV4} routes", request)


def _add(netlink: Rtnetlink, routes: Sequence[Fields]) -> list[tuple[Fields, Refusal]]:
    """Add the routes; return those that the kernel refuses, except for those that exist by now."""
    requests = [
        Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, netlink.formats.route.encode(fields)) for fields in routes
    ]
    answers = zip(routes, netlink.batch(requests))
    return [(fields, answer) for fields, answer in answers if answer and answer.errno != errno.EEXIST]


def _text(fields: Fields) -> str:
    destination = packed(fields, "RTA_DST")
    network = f"{address_text(destination)}/{number(fields, 'dst_len')}" if destination else "default"
    return f"{network} in table {number(fields, 'RTA_TABLE') or number(fields, 'table')}"
