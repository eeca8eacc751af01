# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address of a link: the node's own one in a pool, for routers that answer only senders in their network."""

from __future__ import annotations

from dataclasses import dataclass

from .family import family_of


@dataclass(frozen=True, order=True)
class Address:
    """One address on one interface (``ip-address(8)``), always with ``noprefixroute``.

    :param interface: the link's name.
    :param address: with its prefix length, ``1.2.3.201/32``.
    """

    interface: str
    address: str

    @property
    def family(self) -> str:
        """``ipv4`` or ``ipv6``."""
        return family_of(self.address)

    @property
    def key(self) -> tuple[str, str]:
        """What identifies an address in the kernel."""
        return (self.interface, self.address)

    def __str__(self) -> str:
        return f"{self.address} dev {self.interface} noprefixroute"
