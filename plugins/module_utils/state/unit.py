# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed systemd unit on the node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Unit:
    """One service (``systemd.service(5)``); the desired one is enabled and running.

    :param name: with its suffix, ``homeward-metallb-routing.service``.
    :param version: of its program; a service that runs another version is restarted.
    :param enabled: starts at boot.
    :param running: active or activating.
    """

    name: str
    version: str
    enabled: bool = True
    running: bool = True

    @property
    def key(self) -> tuple[str]:
        """What identifies a unit."""
        return (self.name,)

    def __str__(self) -> str:
        states = ("enabled" if self.enabled else "disabled", "running" if self.running else "stopped")
        return f"{self.name}: {', '.join(states)}, version {self.version or 'unknown'}"
