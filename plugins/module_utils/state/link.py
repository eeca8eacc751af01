# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed link: a VLAN (IEEE 802.1Q), a macvlan or a dummy device."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("vlan", "macvlan", "dummy")
#: A VLAN link with an IEEE 802.1ad tag. The kernel calls it ``vlan`` too, but it carries other frames.
PROVIDER_VLAN = "802.1ad vlan"
#: MACVLAN_MODE_PASSTHRU: the link receives all packets of its parent.
PASSTHRU = 8


@dataclass(frozen=True, order=True)
class Link:
    """One network device (``ip-link(8)``).

    :param name: at most 15 bytes (``IFNAMSIZ`` less the final zero).
    :param kind: one of :data:`KINDS`.
    :param parent: name of the lower device; ``""`` for a dummy.
    :param vlan_id: 1-4094 for a VLAN, otherwise 0.
    :param mtu: in bytes; 0 for the kernel's default, the MTU of the parent.
    :param up: administratively up.
    """

    name: str
    kind: str
    parent: str = ""
    vlan_id: int = 0
    mtu: int = 0
    up: bool = True

    @property
    def key(self) -> tuple[str]:
        """What identifies a link."""
        return (self.name,)

    def same_device(self, other: Link) -> bool:
        """Whether ``other`` can be changed into this link without deleting it."""
        return (self.name, self.kind, self.parent, self.vlan_id) == (
            other.name,
            other.kind,
            other.parent,
            other.vlan_id,
        )

    def __str__(self) -> str:
        below = f" on {self.parent}" if self.parent else ""
        number = f" id {self.vlan_id}" if self.vlan_id else ""
        return f"{self.name}: {self.kind}{below}{number}{f' mtu {self.mtu}' if self.mtu else ''}{'' if self.up else ' down'}"
