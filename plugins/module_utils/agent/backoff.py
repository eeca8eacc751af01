# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before putting the same thing back once more, so that nobody is fought. Pure: time is a parameter."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

BURST = 20  # times that one thing is put back without waiting
REFILL = 3.0  # seconds after which one more of them is allowed
FIRST_DELAY = 1.0  # seconds
LONGEST_DELAY = 300.0


@dataclass
class _Account:
    left: float = BURST
    counted: float = 0.0
    delay: float = 0.0
    again: float = 0.0


class Patience:
    """Counts how often each thing was put back. A few losses are healed at once; a fight is slowed down exponentially."""

    def __init__(self) -> None:
        self._accounts: dict[Hashable, _Account] = {}

    def may(self, thing: Hashable, now: float) -> bool:
        """Whether the thing may be put back now."""
        account = self._accounts.get(thing)
        return account is None or now >= account.again

    def note(self, thing: Hashable, now: float) -> float:
        """Remember that the thing was put back, and return for how many seconds it must then be left: 0 for most."""
        account = self._accounts.setdefault(thing, _Account(counted=now))
        account.left = min(BURST, account.left + max(0.0, now - account.counted) / REFILL)
        account.counted = now
        if account.left >= BURST - 1:
            account.delay = 0.0
        account.left -= 1
        if account.left >= 0:
            return 0.0
        account.left = 0.0
        return self._hold(account, now)

    def refused(self, thing: Hashable, now: float) -> float:
        """Remember that the thing could not be put back, and return after how many seconds to try again."""
        return self._hold(self._accounts.setdefault(thing, _Account(counted=now)), now)

    def _hold(self, account: _Account, now: float) -> float:
        account.delay = min(LONGEST_DELAY, account.delay * 2 or FIRST_DELAY)
        account.again = now + account.delay
        # Time in which the thing is left alone is no peace: counted, it would pay for the next burst.
        account.counted = account.again
        return account.delay

    def next_try(self, now: float) -> float:
        """Return seconds until something that is being left alone may be tried again; infinite if there is none."""
        waits = (account.again - now for account in self._accounts.values() if account.again > now)
        return min(waits, default=float("inf"))
