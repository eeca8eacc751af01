# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often an object is reconciled: a few times without delay, in a fight with growing delays, after peace as at first."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.backoff import (
    BURST,
    FIRST_DELAY,
    LONGEST_DELAY,
    REFILL,
    Backoff,
)


def fight(backoff: Backoff, start: float, seconds: float, reverted_after: float = 0.01) -> list[float]:
    """Reconcile an object whenever that is allowed, while something reverts it; return the times."""
    now, times = start, []
    while now < start + seconds:
        if backoff.allows("rule", now):
            times.append(now)
            backoff.reconciled("rule", now)
            now += reverted_after
        else:
            now += max(reverted_after, backoff.next_try(now))
    return times


def test_a_burst_is_reconciled_without_delay() -> None:
    backoff = Backoff()
    assert [backoff.reconciled("rule", 5.0) for _loss in range(BURST)] == [0.0] * BURST
    assert backoff.allows("rule", 5.0)


def test_each_delay_of_a_fight_is_twice_the_last() -> None:
    times = fight(Backoff(), 0.0, 4000.0)
    pauses = [after - before for before, after in pairwise(times) if after - before > 0.5]
    assert len(times) - len(pauses) == BURST + 1
    expected = FIRST_DELAY
    for pause in pauses:
        assert abs(pause - expected) < 0.1
        expected = min(LONGEST_DELAY, 2 * expected)
    assert pauses[-1] > LONGEST_DELAY - 0.1, "a fight of an hour reaches the longest delay"


@given(st.floats(0.001, 2.0), st.floats(1.0, 20000.0))
def test_a_fight_costs_little_however_long_it_is(reverted_after: float, seconds: float) -> None:
    times = fight(Backoff(), 100.0, seconds, reverted_after)
    burst = BURST / (1 - reverted_after / REFILL)  # it refills while it lasts
    assert len(times) <= burst + 12 + seconds / LONGEST_DELAY


@given(st.floats(0.0, 1e6), st.floats(1.0, 3000.0))
def test_after_a_fight_the_object_is_reconciled_within_the_longest_delay_reached(start: float, seconds: float) -> None:
    backoff = Backoff()
    times = fight(backoff, start, seconds)
    pauses = [after - before for before, after in pairwise(times)]
    wait = backoff.next_try(start + seconds)
    assert wait == float("inf") or wait <= max(2 * max(pauses), FIRST_DELAY) + 0.1
    assert backoff.allows("rule", start + seconds + (0 if wait == float("inf") else wait + 0.001))


def test_peace_resets_the_delay() -> None:
    backoff = Backoff()
    last = fight(backoff, 0.0, 100.0)[-1]
    later = last + LONGEST_DELAY + BURST * REFILL
    assert [backoff.reconciled("rule", later) for _loss in range(BURST)] == [0.0] * BURST
    assert backoff.reconciled("rule", later) == FIRST_DELAY


def test_objects_are_counted_separately() -> None:
    backoff = Backoff()
    fight(backoff, 0.0, 10.0)
    assert not backoff.allows("rule", 10.0)
    assert backoff.allows("route", 10.0)


def test_without_a_delay_there_is_nothing_to_wait_for() -> None:
    backoff = Backoff()
    assert backoff.next_try(0.0) == float("inf")
    backoff.reconciled("rule", 0.0)
    assert backoff.next_try(0.0) == float("inf")


def test_each_delay_after_a_failure_is_twice_the_last() -> None:
    backoff = Backoff()
    now, delays = 0.0, []
    for _try in range(12):
        delays.append(backoff.failed("link", now))
        assert not backoff.allows("link", now + delays[-1] - 0.01)
        now += delays[-1]
        assert backoff.allows("link", now)
    assert delays == [min(LONGEST_DELAY, FIRST_DELAY * 2**number) for number in range(12)]
