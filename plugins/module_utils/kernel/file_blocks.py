# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed block in a file of another program: the header, and the line after it. Pure."""

from __future__ import annotations

from ..paths import BLOCK_HEADER


def block_in(text: str) -> str:
    """Return the managed block of a file; ``""`` if it has none."""
    start, end = _bounds(text)
    return text[start:end]


def without_block(text: str) -> str:
    """Return the file as it was before a block was added."""
    start, end = _bounds(text)
    return text[:start] + text[end:]


def with_block(text: str, block: str) -> str:
    """Return the file with this block instead of the one that it has.

    A new block comes first: in dhcpcd.conf(5) a line after ``interface`` counts for that link alone.
    """
    start, end = _bounds(text)
    return text[:start] + block + text[end:]


def _bounds(text: str) -> tuple[int, int]:
    """Return where the block starts and ends, at the start of the text if there is none."""
    start = 0 if text.startswith(BLOCK_HEADER) else text.find(f"\n{BLOCK_HEADER}") + 1
    if not text.startswith(BLOCK_HEADER, start):
        return 0, 0
    end = text.find("\n", start + len(BLOCK_HEADER))
    return start, len(text) if end < 0 else end + 1
