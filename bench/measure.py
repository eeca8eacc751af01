# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs of alternatives, measured by turns, so that a busy machine slows all of them equally."""

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
    """Cost of one run, in seconds.

    :param wall: wall time.
    :param cpu: CPU time, user and system, of all processes.
    """

    wall: float
    cpu: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def __str__(self) -> str:
        return f"{_time(self.wall)} wall, {_time(self.cpu)} CPU"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def cost_of_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, expected_output: str = ""
) -> Cost:
    """Run a program and return its cost, including child processes.

    :param expected_output: text that its output must contain.
    :raises RuntimeError: it failed, or its output lacks the text.
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
        assert process.stdout is not None, "it is a pipe"
        output = process.stdout.read()
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or expected_output not in output:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime)


def cost_of_call(action: Callable[[], object]) -> Cost:
    """Return the cost of a call, including processes that it waits for."""
    before, start = _used(), time.perf_counter()
    action()
    return Cost(time.perf_counter() - start, _used() - before)


def _used() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def by_turns(alternatives: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Return the median cost of each alternative; every round runs each of them once."""
    taken: dict[str, list[Cost]] = {name: [] for name in alternatives}
    for _round in range(rounds):
        for name, run in alternatives.items():
            taken[name].append(run())
    return {name: median(costs) for name, costs in taken.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of the wall times and of the CPU times."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


def say(text: str) -> None:
    """Print a line without buffering."""
    print(text, flush=True)


def heading(text: str) -> None:
    """Print a heading."""
    say(f"\n== {text}")


def compare(what: str, cost: Cost, reference: Cost, target: str = "") -> None:
    """Print the ratio of a cost to a reference."""
    ratios = f"{cost.wall / reference.wall:.2f} x wall, {cost.cpu / reference.cpu:.2f} x CPU"
    say(f"{what}: {ratios}{f' (target {target})' if target else ''}\n    {cost}; reference {reference}")
