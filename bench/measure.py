# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs of two or more ways to do a thing, taken by turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds.

    :param wall: by the clock.
    :param cpu: of the processor, user and system together, of all processes that took part.
    """

    wall: float
    cpu: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def __str__(self) -> str:
        return f"{_time(self.wall)} wall, {_time(self.cpu)} CPU"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def cost_of_process(command: Sequence[str], environment: Mapping[str, str] | None = None, must_say: str = "") -> Cost:
    """Run a program to its end and return what it and its children took.

    :param must_say: what its output must hold.
    :raises RuntimeError: it failed, or did not say that.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None, "it was asked for"
        said = process.stdout.read()
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or must_say not in said:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime)


def cost_of_call(action: Callable[[], object]) -> Cost:
    """Return what a call takes, with the processes that it starts and waits for."""
    before, start = _used(), time.perf_counter()
    action()
    return Cost(time.perf_counter() - start, _used() - before)


def _used() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def by_turns(ways: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Return the median cost of each way; every round takes each of them once."""
    taken: dict[str, list[Cost]] = {name: [] for name in ways}
    for _round in range(rounds):
        for name, way in ways.items():
            taken[name].append(way())
    return {name: median(costs) for name, costs in taken.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of the wall times and of the CPU times."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def heading(text: str) -> None:
    """Print what the following lines are about."""
    say(f"\n== {text}")


def compare(what: str, ours: Cost, theirs: Cost, target: str = "") -> None:
    """Print how many times as much ours takes as theirs."""
    ratios = f"{ours.wall / theirs.wall:.2f} x wall, {ours.cpu / theirs.cpu:.2f} x CPU"
    say(f"{what}: {ratios}{f' (target {target})' if target else ''}\n    {ours}; against {theirs}")
