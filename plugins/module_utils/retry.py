# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait after a failure before the next try."""

from __future__ import annotations

FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0  # seconds


def longer_retry(delay: float) -> float:
    """Return the delay in seconds after one more failure, given that of the last one, 0 for none."""
    return min(LONGEST_RETRY, delay * 2 or FIRST_RETRY)
