# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel setting under /proc/sys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Sysctl:
    """One value (``sysctl(8)``).

    :param name: with slashes, ``net/ipv4/conf/eth0.100/rp_filter``: an interface name may contain dots, but no slash.
    :param value: as the kernel prints it, without the final newline; ``""`` where the setting does not exist.
    """

    name: str
    value: str

    @property
    def key(self) -> tuple[str]:
        """What identifies a setting."""
        return (self.name,)

    @property
    def interface(self) -> str:
        """Name of the link that the setting belongs to, ``""`` if it belongs to none."""
        parts = self.name.split("/")
        per_interface = len(parts) == 5 and parts[:1] == ["net"] and parts[2] in ("conf", "neigh")
        return parts[3] if per_interface and parts[3] not in ("all", "default") else ""

    def __str__(self) -> str:
        return f"{self.name}={self.value}"
