# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A question to the kernel where it would route a packet, and its answer (``ip route get``)."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Hosts of the Internet in no network that anybody uses: RFC 5737, RFC 2544, RFC 3849, RFC 9637.
OUTSIDE = ("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8:ffff::1", "3fff:ffff::1")


@dataclass(frozen=True)
class RouteQuestion:
    """A packet whose route is asked for.

    :param destination: an address.
    :param source: an address, ``""`` for one that the kernel chooses. Without ``iif`` it must be the node's own.
    :param iif: the link that the packet arrives on, ``""`` for a packet of the node itself.
    :param mark: of the packet.
    :param oif: the link that the socket is bound to, ``""`` for none.
    :param uid: the user whose socket sends the packet; that of this process by default, which is also that of forwarded
        packets if it is 0.
    """

    family: str
    destination: str
    source: str = ""
    iif: str = ""
    mark: int = 0
    oif: str = ""
    uid: int = 0

    def __str__(self) -> str:
        """Return the arguments of ``ip route get``."""
        words = [f"{self.destination}"]
        words += ["from", self.source] if self.source else []
        words += ["iif", self.iif] if self.iif else []
        words += ["oif", self.oif] if self.oif else []
        words += ["mark", f"{self.mark:#x}"] if self.mark else []
        words += ["uid", str(self.uid)] if self.uid else []
        return " ".join(words)


@dataclass(frozen=True)
class RouteAnswer:
    """The route that the kernel would take.

    :param type: as of a :class:`Route`: ``unicast``, ``local`` ...; ``""`` if the kernel refuses the packet.
    :param gateway: ``""`` if the destination is on the link, or the kernel refuses.
    :param table: that the route is in; 0 if the kernel does not say.
    :param refusal: why there is no route, ``""`` if there is one.
    :param errno: of the refusal, 0 if there is a route.
    """

    type: str
    interface: str = ""
    gateway: str = ""
    table: int = 0
    refusal: str = ""
    errno: int = 0

    def is_same_path(self, other: RouteAnswer) -> bool:
        """Whether packets take the same path.

        The table does not count: without rules of its own, a kernel does not tell the tables ``main`` and ``local`` apart.
        """
        return replace(self, table=0) == replace(other, table=0)

    def __str__(self) -> str:
        if self.refusal:
            return f"no route ({self.refusal})"
        via = f" via {self.gateway}" if self.gateway else ""
        kind = "" if self.type == "unicast" else f"{self.type} "
        return f"{kind}{self.interface}{via}"
