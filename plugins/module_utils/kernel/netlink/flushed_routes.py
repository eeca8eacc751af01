# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv4 routes that the kernel throws away with the last IPv4 address of an interface, and their way back.

Without an address IPv4 is off on an interface, and every route over it goes, whoever made it (``fib_disable_ip`` in
net/ipv4/fib_frontend.c). The kernel has nothing against making them again right after that. Of a route with several next
hops only the one over this interface dies, and nothing short of a new address revives it; those are left as they are.
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

_PROTOCOL_KERNEL = 2  # RTPROT_KERNEL: the kernel's own, which come and go with an address by right
_ONLINK = 4  # RTNH_F_ONLINK; the other flags tell of the next hop's state and cannot be asked for
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)

_Key = frozenset[tuple[str, Value]]  # of a route's fields


class FlushedRoutes:
    """The IPv4 routes of an instant, to put those back that deleting addresses has cost.

    :param deleted: the IPv4 addresses that go now; a route that has one of them as its source goes with it, as the kernel
        wants it. With none, nothing is read.
    """

    def __init__(self, netlink: Rtnetlink, deleted: Collection[bytes]) -> None:
        self._netlink = netlink
        self._deleted = deleted
        self._before = _routes(netlink) if deleted else {}

    def put_back(self) -> str:
        """Make the routes again that are missing; return those that the kernel refuses, with its reasons."""
        if not self._before:
            return ""
        try:
            return self._put_back()
        except (NodeError, OSError) as error:
            return f"which they are cannot be told: {describe(error)}"

    def _put_back(self) -> str:
        still_there = _routes(self._netlink).keys()
        gone = [fields for key, fields in self._before.items() if key not in still_there]
        missing = [fields for fields in gone if fields.get("RTA_PREFSRC") not in self._deleted]
        # A gateway has to be in a network that is there already.
        missing.sort(key=lambda fields: "RTA_GATEWAY" in fields or "RTA_VIA" in fields)
        refused = _ask(self._netlink, missing)
        # The network may have been one of ours, which is gone. Then the gateway is where it was all the same.
        again = [{**fields, "flags": _ONLINK} for fields, refusal in refused if refusal.errno in _NO_WAY]
        lost = [pair for pair in refused if pair[1].errno not in _NO_WAY] + _ask(self._netlink, again)
        return "; ".join(f"{_words(fields)}: {refusal}" for fields, refusal in lost)


def _routes(netlink: Rtnetlink) -> dict[_Key, Fields]:
    routes = {}
    for fields in netlink.dump_fields(
        RTM_GETROUTE, netlink.formats.route, f"{IPV4} routes", {"family": AF_OF_FAMILY[IPV4]}
    ):
        # Those of the table local too: whole networks are made the node's own there.
        if not is_cached(fields) and fields["proto"] != _PROTOCOL_KERNEL and "RTA_MULTIPATH" not in fields:
            asked_for: Fields = {**fields, "flags": number(fields, "flags") & _ONLINK}
            routes[frozenset(asked_for.items())] = asked_for
    return routes


def _ask(netlink: Rtnetlink, routes: Sequence[Fields]) -> list[tuple[Fields, Refusal]]:
    """Have the kernel make the routes; return those that it refuses, but for those that are there by now."""
    requests = [
        Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, netlink.formats.route.encode(fields)) for fields in routes
    ]
    answers = zip(routes, netlink.batch(requests))
    return [(fields, answer) for fields, answer in answers if answer and answer.errno != errno.EEXIST]


def _words(fields: Fields) -> str:
    destination = packed(fields, "RTA_DST")
    network = f"{address_text(destination)}/{number(fields, 'dst_len')}" if destination else "default"
    return f"{network} in table {number(fields, 'RTA_TABLE') or number(fields, 'table')}"
