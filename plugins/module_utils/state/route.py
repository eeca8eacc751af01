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
LAST_METRIC = 4294967294  # one below the largest, which the kernel uses for IPv6 null routes


@dataclass(frozen=True, order=True)
class Route:
    """One route (``ip-route(8)``) in canonical form.

    :param family: ``ipv4`` or ``ipv6``.
    :param table: number of the routing table.
    :param destination: ``address/length``; the default route is ``0.0.0.0/0`` or ``::/0``.
    :param metric: the kernel's ``priority``; for IPv6 never 0, which the kernel replaces by 1024.
    :param type: one of :data:`TYPES`; a foreign route may have any other type of the kernel.
    :param gateway: next hop, ``""`` for a network on the link.
    :param interface: name of the link; ``""`` for every type except unicast.
    :param onlink: the gateway is treated as directly attached to the link, even if no route says so.
    :param source: preferred source address, ``""`` for none.
    :param multipath: one next hop of several: a foreign route with several next hops is read as one route for each.
    :param extra: further attributes of a managed route on the node; those of foreign routes are not read.
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
        """What identifies a route in the kernel."""
        return (self.family, self.table, self.destination, self.metric)

    @property
    def is_default(self) -> bool:
        """Whether the destination is every address."""
        return self.destination == everything(self.family)

    def words(self) -> tuple[str, ...]:
        """Return the arguments of ``ip route`` after its verb, without the extra attributes."""
        words = [] if self.type == "unicast" else [self.type]
        words.append("default" if self.is_default else self.destination)
        hop = ["via", self.gateway] if self.gateway else []
        hop += ["dev", self.interface] if self.interface else []
        hop += ["onlink"] if self.onlink else []
        rest = ["src", self.source] if self.source else []
        rest += ["table", "main" if self.table == MAIN_TABLE else str(self.table)]
        implied = IPV6_DEFAULT_METRIC if self.family == IPV6 else 0
        rest += ["metric", str(self.metric)] if self.metric != implied else []
        return (*words, *rest, "nexthop", *hop) if self.multipath else (*words, *hop, *rest)

    def __str__(self) -> str:
        return " ".join(filter(None, (*self.words(), extra_text(self.extra))))
