# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A route of one routing table."""

from __future__ import annotations

from dataclasses import dataclass, field

from .extra_attributes import CURRENT_ONLY, ExtraAttributes, extra_text
from .family import IPV6, everything

TYPES = ("unicast", "unreachable", "blackhole", "prohibit", "throw")
MAIN_TABLE = 254
LOCAL_TABLE = 255
IPV6_DEFAULT_METRIC = 1024  # IP6_RT_PRIO_USER, include/net/ip6_route.h
LAST_METRIC = 4294967294  # one below the largest, which IPv6 keeps for its own null routes


@dataclass(frozen=True, order=True)
class Route:
    """One route (``ip-route(8)``) in canonical form.

    :param family: ``ipv4`` or ``ipv6``.
    :param table: number of the routing table.
    :param destination: ``address/length``; the default route is ``0.0.0.0/0`` or ``::/0``.
    :param metric: the kernel's ``priority``; for IPv6 never 0, as the kernel makes 1024 of it.
    :param type: one of :data:`TYPES`; a foreign route may have any other type of the kernel.
    :param gateway: next hop, or ``""`` for a network on the link.
    :param interface: the link's name; ``""`` for every type but unicast.
    :param onlink: the gateway is taken as reachable on the link without a route that says so.
    :param source: preferred source address, or ``""``.
    :param multipath: one next hop of several: a foreign route with several next hops is read as one route for each.
    :param extra: what a managed route on the node has besides; of foreign routes it is not read.
    """

    family: str
    table: int
    destination: str
    metric: int = 0
    type: str = "unicast"
    gateway: str = ""
    interface: str = ""
    onlink: bool = False
    source: str = ""
    multipath: bool = field(default=False, metadata=CURRENT_ONLY)
    extra: ExtraAttributes = field(default=(), metadata=CURRENT_ONLY)

    def __post_init__(self) -> None:
        if self.family == IPV6 and self.metric == 0:
            object.__setattr__(self, "metric", IPV6_DEFAULT_METRIC)

    @property
    def key(self) -> tuple[str, int, str, int]:
        """What the kernel tells routes apart by."""
        return (self.family, self.table, self.destination, self.metric)

    @property
    def is_default(self) -> bool:
        """Whether the destination is every address."""
        return self.destination == everything(self.family)

    def words(self) -> tuple[str, ...]:
        """Return the arguments of ``ip route`` after its verb, without the extra attributes."""
        words = [] if self.type == "unicast" else [self.type]
        words.append("default" if self.is_default else self.destination)
        words += ["nexthop"] if self.multipath else []
        words += ["via", self.gateway] if self.gateway else []
        words += ["dev", self.interface] if self.interface else []
        words += ["onlink"] if self.onlink else []
        words += ["src", self.source] if self.source else []
        words += ["table", "main" if self.table == MAIN_TABLE else str(self.table)]
        implied = IPV6_DEFAULT_METRIC if self.family == IPV6 else 0
        words += ["metric", str(self.metric)] if self.metric != implied else []
        return tuple(words)

    def __str__(self) -> str:
        return " ".join(filter(None, (*self.words(), extra_text(self.extra))))
