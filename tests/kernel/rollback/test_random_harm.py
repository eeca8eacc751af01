# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random harmful changes in a row, some of them with a disturbance, with a real timeout."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from tests.kernel.rollback.disturbances import DISTURBANCES, Disturbance
from tests.kernel.rollback.harms import Harm, decide_for, random_objects
from tests.kernel.rollback.pending import FIRST, POOLS, until_none_pending
from tests.kernel.rollback.world import World
from tests.lab.snapshot import Snapshot
from tests.support.examples import FRESH, printed_seed
from tests.support.snapshots import assert_equivalent

SHORT = 1  # seconds
SHARE = 200  # changes for each multiple of fresh examples


@dataclass
class Tally:
    """What the random changes did."""

    refused: int = 0
    cut: int = 0
    disturbed: int = 0
    seconds: list[float] = field(default_factory=list)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it."""
        if self.seconds:
            times = sorted(self.seconds)
            terminalreporter.write_line(
                f"random harmful changes: {len(times)} made, {self.cut} cut the node off, {self.disturbed} were disturbed"
                f" ({self.refused} more refused by the kernel); after the timeout of {SHORT} s reachable again within"
                f" {times[len(times) // 2]:.2f} s (median), {times[-1]:.2f} s (longest)"
            )


@pytest.mark.random
def test_random_changes(world: World, request: pytest.FixtureRequest) -> None:
    """200 changes for each multiple of fresh examples, so 1,000 in ``make slow``; few without."""
    chance, tally = random.Random(printed_seed()), Tally()
    request.config.pluginmanager.register(tally)
    plain = Harm("random", families=())
    before = world.prepare(plain)
    while len(tally.seconds) < (SHARE * FRESH or 4):
        objects = random_objects(chance)
        disturb = chance.choice((None, None, None, *DISTURBANCES))
        print(
            f"change {len(tally.seconds)}: {[str(item) for item in objects]}, {getattr(disturb, '__name__', 'undisturbed')}"
        )
        _make_random(world, plain, before, objects, disturb, tally)


def _make_random(
    world: World, plain: Harm, before: Snapshot, objects: Sequence[Any], disturb: Disturbance | None, tally: Tally
) -> None:
    node = world.node
    answer = node.module(POOLS, {**FIRST, "confirm_timeout": SHORT}, before=partial(decide_for, objects))
    complete = time.monotonic()
    if answer.get("failed"):
        tally.refused += 1
        assert_equivalent(before, node.snapshot())
        return
    with disturb(node) if disturb else nullcontext():
        tally.cut += any(world.controller.is_cut_off(*at) for at in plain.address)
        if disturb:
            tally.disturbed += 1
            time.sleep(max(0.0, complete + SHORT + 0.5 - time.monotonic()))  # so that the rollback begins meanwhile
    world.await_controller(plain)
    tally.seconds.append(max(0.0, time.monotonic() - complete - SHORT))
    until_none_pending(node)
    world.assert_as(before, plain)
