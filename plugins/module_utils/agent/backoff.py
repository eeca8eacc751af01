# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before the same object is reconciled again, so that two programs do not fight. Pure: time is a parameter."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

BURST = 20  # times that an object is reconciled without delay
REFILL = 3.0  # seconds after which one more of them is allowed
FIRST_DELAY = 1.0  # seconds
LONGEST_DELAY = 300.0


@dataclass
class _Bucket:
    """A token bucket for one object: tokens left, as of when, and the delay once it is empty."""

    tokens: float = BURST
    updated: float = 0.0
    delay: float = 0.0
    retry_at: float = 0.0


class Backoff:
    """Counts by object how often it was reconciled: a few times without delay, then after delays that double."""

    def __init__(self) -> None:
        self._buckets: dict[Hashable, _Bucket] = {}

    def allows(self, key: Hashable, now: float) -> bool:
        """Whether the object may be reconciled now."""
        bucket = self._buckets.get(key)
        return bucket is None or now >= bucket.retry_at

    def reconciled(self, key: Hashable, now: float) -> float:
        """Count one reconciliation; return the seconds until the next one is allowed: usually 0."""
        bucket = self._buckets.setdefault(key, _Bucket(updated=now))
        bucket.tokens = min(BURST, bucket.tokens + max(0.0, now - bucket.updated) / REFILL)
        bucket.updated = now
        if bucket.tokens >= BURST - 1:
            bucket.delay = 0.0
        bucket.tokens -= 1
        if bucket.tokens >= 0:
            return 0.0
        bucket.tokens = 0.0
        return self._delay(bucket, now)

    def failed(self, key: Hashable, now: float) -> float:
        """Count one failure; return the seconds until the next try."""
        return self._delay(self._buckets.setdefault(key, _Bucket(updated=now)), now)

    def _delay(self, bucket: _Bucket, now: float) -> float:
        bucket.delay = min(LONGEST_DELAY, bucket.delay * 2 or FIRST_DELAY)
        bucket.retry_at = now + bucket.delay
        # The delay itself earns no tokens: nothing was reconciled during it.
        bucket.updated = bucket.retry_at
        return bucket.delay

    def next_try(self, now: float) -> float:
        """Return the seconds until some delay ends; infinite if there is none."""
        delays = (bucket.retry_at - now for bucket in self._buckets.values() if bucket.retry_at > now)
        return min(delays, default=float("inf"))
