# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often one thing is put back: a few losses at once, a fight ever more slowly, and peace is remembered."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.backoff import (
    BURST,
    FIRST_DELAY,
    LONGEST_DELAY,
    REFILL,
    Patience,
)


def fight(patience: Patience, start: float, seconds: float, undone_after: float = 0.01) -> list[float]:
    """Put a thing back whenever it may be, while somebody undoes it at once; return when it was put back."""
    now, puts = start, []
    while now < start + seconds:
        if patience.may("rule", now):
            puts.append(now)
            patience.note("rule", now)
            now += undone_after
        else:
            now += max(undone_after, patience.next_try(now))
    return puts


def test_a_few_losses_are_put_back_at_once() -> None:
    patience = Patience()
    assert [patience.note("rule", 5.0) for _loss in range(BURST)] == [0.0] * BURST
    assert patience.may("rule", 5.0)


def test_each_delay_of_a_fight_is_twice_the_last() -> None:
    puts = fight(Patience(), 0.0, 4000.0)
    pauses = [after - before for before, after in pairwise(puts) if after - before > 0.5]
    assert len(puts) - len(pauses) == BURST + 1
    expected = FIRST_DELAY
    for pause in pauses:
        assert abs(pause - expected) < 0.1
        expected = min(LONGEST_DELAY, 2 * expected)
    assert pauses[-1] > LONGEST_DELAY - 0.1, "a fight of an hour reaches the longest delay"


@given(st.floats(0.001, 2.0), st.floats(1.0, 20000.0))
def test_a_fight_costs_few_puts_however_long_it_is(undone_after: float, seconds: float) -> None:
    puts = fight(Patience(), 100.0, seconds, undone_after)
    burst = BURST / (1 - undone_after / REFILL)  # it refills while it lasts
    assert len(puts) <= burst + 12 + seconds / LONGEST_DELAY


@given(st.floats(0.0, 1e6), st.floats(1.0, 3000.0))
def test_after_a_fight_the_thing_may_be_put_back_within_the_longest_delay_reached(start: float, seconds: float) -> None:
    patience = Patience()
    puts = fight(patience, start, seconds)
    pauses = [after - before for before, after in pairwise(puts)]
    wait = patience.next_try(start + seconds)
    assert wait == float("inf") or wait <= max(2 * max(pauses), FIRST_DELAY) + 0.1
    assert patience.may("rule", start + seconds + (0 if wait == float("inf") else wait + 0.001))


def test_peace_makes_it_quick_again() -> None:
    patience = Patience()
    last = fight(patience, 0.0, 100.0)[-1]
    later = last + LONGEST_DELAY + BURST * REFILL
    assert [patience.note("rule", later) for _loss in range(BURST)] == [0.0] * BURST
    assert patience.note("rule", later) == FIRST_DELAY


def test_things_have_accounts_of_their_own() -> None:
    patience = Patience()
    fight(patience, 0.0, 10.0)
    assert not patience.may("rule", 10.0)
    assert patience.may("route", 10.0)


def test_nothing_left_alone_is_nothing_to_wait_for() -> None:
    patience = Patience()
    assert patience.next_try(0.0) == float("inf")
    patience.note("rule", 0.0)
    assert patience.next_try(0.0) == float("inf")


def test_what_is_refused_is_tried_again_ever_later() -> None:
    patience = Patience()
    now, delays = 0.0, []
    for _try in range(12):
        delays.append(patience.refused("link", now))
        assert not patience.may("link", now + delays[-1] - 0.01)
        now += delays[-1]
        assert patience.may("link", now)
    assert delays == [min(LONGEST_DELAY, FIRST_DELAY * 2**number) for number in range(12)]
