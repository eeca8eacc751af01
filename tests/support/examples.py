# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many random examples a kernel test draws, and which.

By default a few, always the same, so that a failure is due to the change under test. HOMEWARD_FRESH_EXAMPLES=10 draws new
ones each time, and ten times as many; HOMEWARD_SEED repeats those of an earlier run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as drawn_from

Test = TypeVar("Test", bound=Callable[..., None])

FRESH = int(os.environ.get("HOMEWARD_FRESH_EXAMPLES") or 0)
SEED = int(os.environ.get("HOMEWARD_SEED") or (random.SystemRandom().randrange(1 << 32) if FRESH else 20261))


def printed_seed() -> int:
    """Return the seed of this run, and print how to reproduce a failure."""
    print(f"to reproduce: HOMEWARD_FRESH_EXAMPLES={FRESH} HOMEWARD_SEED={SEED}")
    return SEED


def examples(number: int) -> Callable[[Test], Test]:
    """Return a decorator that lets Hypothesis draw so many examples, or a multiple of new ones.

    Without shrinking, because an example takes a second or more.
    """
    common = settings(
        deadline=None, database=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow]
    )

    def prepare(test: Test) -> Test:
        if not FRESH:
            return settings(common, max_examples=number, derandomize=True)(test)
        return drawn_from(printed_seed())(settings(common, max_examples=number * FRESH)(test))

    return prepare
