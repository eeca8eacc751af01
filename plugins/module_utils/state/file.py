# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed file on the node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class File:
    """One regular file, owned by root.

    :param path: absolute.
    :param content: the whole text; bytes that are not UTF-8 are decoded with ``surrogateescape``.
    :param mode: permission bits, octal 0644 by default.
    """

    path: str
    content: str
    mode: int = 0o644

    @property
    def key(self) -> tuple[str]:
        """What identifies a file."""
        return (self.path,)

    def __str__(self) -> str:
        return f"{self.path} (mode {self.mode:04o})"
