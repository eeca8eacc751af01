# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes routes."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ...state import Ownership, Route
from ...state.extra_attributes import extra_attributes
from ...state.family import IPV4, everything
from ...state.route import LOCAL_TABLE
from ...state.route_selection import RouteSelection
from ...state.step import Step
from ..families import kernel_families
from .codec import Fields, address_bytes, address_text, number, packed
from .links import IndexOf
from .route_filter import RouteFilter
from .rtnetlink import AF_OF_FAMILY, COMPAT_TABLE, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE, Rtnetlink
from .steps import send_steps
from .wire import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Buffer, Request

_CLONED = 0x200  # RTM_F_CLONED: an entry of the cache, not of the table
_ONLINK = 4  # RTNH_F_ONLINK
_SIZE_OF_RTNEXTHOP = 8
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255

_TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}
_NUMBER_OF_TYPE = {name: number for number, name in _TYPES.items()}
_ON_LINK_TYPES = ("unicast", "broadcast", "anycast", "multicast")

_MODELLED = frozenset(
    {"family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags"}
    | {"RTA_DST", "RTA_OIF", "RTA_GATEWAY", "RTA_PRIORITY", "RTA_PREFSRC", "RTA_TABLE"}
    # Reported by the kernel, not requested:
    | {"RTA_CACHEINFO", "RTA_PREF", "RTA_EXPIRES", "RTA_24"}  # RTA_24 is RTA_PAD
)
#: Each of these holds the next hop instead of RTA_GATEWAY and RTA_OIF, which the kernel then refuses.
_OTHER_NEXT_HOPS = frozenset({"RTA_MULTIPATH", "RTA_NH_ID", "RTA_VIA"})

_UNREACHABLE = (
    "the gateway is not in a network on the link: declare that network (onlink_networks of a pool; a route to it, or onlink: true),"
    " and check that the link is up"
)
HINTS = {
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETDOWN: "the link or its parent is down",
    errno.EEXIST: "another route, possibly a foreign one, has this table, destination and metric",
    errno.ESRCH: "this route does not exist",
    errno.ENOENT: "this route does not exist",
}


def read_routes(
    netlink: Rtnetlink,
    ownership: Ownership,
    names: Mapping[int, str],
    selection: RouteSelection | None = None,
) -> tuple[frozenset[Route], frozenset[Route]]:
    """Return the managed and the foreign routes, of every family and of every table except ``local``.

    A foreign route with several next hops is read as one route for each; one with the identifier of a next hop instead
    (``nhid``) has no interface. Extra attributes are read of managed routes only.

    :param names: interfaces by index.
    :param selection: which foreign routes are needed; None for all.
    :raises NodeError: the kernel does not list its routes.
    """
    managed: set[Route] = set()
    foreign: set[Route] = set()
    for family in kernel_families():

        def routes(buffer: Buffer, start: int, stop: int, family: str = family) -> tuple[Route, ...]:
            return _foreign_routes(netlink, family, netlink.formats.route.decode(buffer, start, stop), names)

        request: Fields = {"family": AF_OF_FAMILY[family]}
        chosen = None if selection is None else RouteFilter(selection, family, ownership.protocol, names, routes)
        skip = None if chosen is None else chosen.skip
        what = f"{family} routes"
        for fields in netlink.dump_fields(RTM_GETROUTE, netlink.formats.route, what, request, chosen, skip):
            if is_table_entry(fields):
                found = routes_of(netlink, family, fields, names, ownership)
                (managed if fields["proto"] == ownership.protocol else foreign).update(found)
    return frozenset(managed), frozenset(foreign)


def routes_of(
    netlink: Rtnetlink, family: str, fields: Fields, names: Mapping[int, str], ownership: Ownership
) -> tuple[Route, ...]:
    """Return the route of a message, or one for each next hop if it is foreign and has several."""
    if fields["proto"] == ownership.protocol:
        return (_managed_route(family, fields, names),)
    return _foreign_routes(netlink, family, fields, names)


def _foreign_routes(netlink: Rtnetlink, family: str, fields: Fields, names: Mapping[int, str]) -> tuple[Route, ...]:
    """Return one route, or one for each of several next hops."""
    route = route_of(family, fields, names)
    hops = packed(fields, "RTA_MULTIPATH")
    return tuple(_next_hops(netlink, route, hops, names)) if hops else (route,)


def is_table_entry(fields: Fields) -> bool:
    """Whether a route is in a table other than ``local``, and not in the cache."""
    return fields.get("RTA_TABLE", fields["table"]) != LOCAL_TABLE and not is_cached(fields)


def is_cached(fields: Fields) -> bool:
    """Whether a route is in the cache."""
    return bool(number(fields, "flags") & _CLONED)


def _address(fields: Fields, name: str) -> str:
    value = packed(fields, name)
    return address_text(value) if value else ""


def route_of(family: str, fields: Fields, names: Mapping[int, str]) -> Route:
    """Return the route in a decoded message.

    :param names: interfaces by index.
    """
    word = _TYPES.get(number(fields, "type"), f"type-{number(fields, 'type')}")
    index = number(fields, "RTA_OIF")
    destination = _address(fields, "RTA_DST") or everything(family).partition("/")[0]
    return Route(
        family,
        number(fields, "RTA_TABLE") or number(fields, "table"),
        f"{destination}/{number(fields, 'dst_len')}",
        number(fields, "RTA_PRIORITY"),
        word,
        _gateway(fields),
        # IPv6 reports the interface "lo" for unreachable, blackhole and the like.
        names.get(index, f"index {index}") if index and word in ("local", *_ON_LINK_TYPES) else "",
        bool(number(fields, "flags") & _ONLINK),
        _address(fields, "RTA_PREFSRC"),
    )


def _managed_route(family: str, fields: Fields, names: Mapping[int, str]) -> Route:
    extra = {name: value for name, value in fields.items() if name not in _MODELLED}
    if fields["tos"]:
        extra["tos"] = fields["tos"]
    if fields["src_len"]:
        extra["src_len"] = fields["src_len"]
    route = route_of(family, fields, names)
    if family == IPV4 and fields["scope"] != _scope(route):
        extra["scope"] = fields["scope"]
    return replace(route, extra=extra_attributes(extra)) if extra else route


def _next_hops(netlink: Rtnetlink, route: Route, hops: bytes, names: Mapping[int, str]) -> Iterator[Route]:
    """Yield a route for each next hop, given ``RTA_MULTIPATH``."""
    while len(hops) >= _SIZE_OF_RTNEXTHOP:
        length = max(int.from_bytes(hops[:2], sys.byteorder), _SIZE_OF_RTNEXTHOP)  # struct rtnexthop begins with it
        hop = netlink.formats.nexthop.decode(hops, 2, length)
        index = number(hop, "oif")
        interface = names.get(index, f"index {index}") if index else ""
        yield replace(route, gateway=_gateway(hop), interface=interface, multipath=True)
        hops = hops[(length + 3) & ~3 :]


def _gateway(fields: Fields) -> str:
    """Return the gateway; one of the other family is in ``RTA_VIA``, after two bytes with its family."""
    via = packed(fields, "RTA_VIA")
    return address_text(via[2:]) if via else _address(fields, "RTA_GATEWAY")


def _scope(route: Route) -> int:
    return _SCOPE_LINK if route.type in _ON_LINK_TYPES and not route.gateway else _SCOPE_UNIVERSE


def write_routes(netlink: Rtnetlink, steps: Sequence[Step], ownership: Ownership) -> None:
    """Add, change and delete routes, in order.

    A change replaces a route of the same table, destination and metric atomically. The kernel replaces the first route with
    that key even if it is foreign, so a plan must not change a route whose key a foreign route has.

    :raises StepsFailed: see :func:`send_steps`.
    """
    index_of = IndexOf()

    def encode(step: Step) -> list[Request]:
        after, before = step.after, step.before
        if isinstance(after, Route) and before is None:
            return [Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, _body(netlink, after, ownership, index_of))]
        if isinstance(after, Route) and isinstance(before, Route) and after.key == before.key:
            return [Request(RTM_NEWROUTE, NLM_F_REPLACE, _body(netlink, after, ownership, index_of))]
        if isinstance(before, Route) and after is None:
            return [Request(RTM_DELROUTE, 0, _body(netlink, before, ownership, index_of, deleting=True))]
        raise TypeError(f"not a step of one route: {step!r}")

    send_steps(netlink, steps, encode, HINTS)


def _body(
    netlink: Rtnetlink, route: Route, ownership: Ownership, index_of: IndexOf, *, deleting: bool = False
) -> bytes:
    extra = dict(route.extra)
    scope = _SCOPE_NOWHERE if deleting and "scope" not in extra else _scope(route)
    address, _slash, length = route.destination.partition("/")
    fields: Fields = {
        "family": AF_OF_FAMILY[route.family],
        "dst_len": int(length),
        "table": route.table if route.table < 256 else COMPAT_TABLE,
        "proto": ownership.protocol,
        "scope": scope,
        "type": _NUMBER_OF_TYPE[route.type],
        "flags": _ONLINK if route.onlink and not deleting else 0,
        "RTA_TABLE": route.table,
    }
    if length != "0":
        fields["RTA_DST"] = address_bytes(address)
    if route.metric:
        fields["RTA_PRIORITY"] = route.metric
    if _OTHER_NEXT_HOPS.isdisjoint(extra):
        fields.update({"RTA_GATEWAY": address_bytes(route.gateway)} if route.gateway else {})
        fields.update({"RTA_OIF": index_of(route.interface)} if route.interface else {})
    if route.source:
        fields["RTA_PREFSRC"] = address_bytes(route.source)
    fields.update(extra)
    return netlink.formats.route.encode(fields)
