# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that fail at a step: how to cause it, and what to assert."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import writer
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed
from tests.lab.snapshot import Snapshot, assert_same
from tests.support.modules import Answer
from tests.support.node import Node
from tests.support.pools import Parameters
from tests.support.snapshots import assert_equivalent

REASON = "this step fails on purpose"
ROLLED_BACK = "The change was rolled back; the node is as before."


def names_step(answer: Answer, *words: str) -> None:
    """Assert that a run failed and was rolled back; its message names the step, and has these words."""
    assert answer.get("failed"), answer
    assert re.search(r'^step \d+ of \d+, "(add|change|delete) [a-z]+ ', answer["msg"]), answer["msg"]
    assert answer["msg"].endswith(ROLLED_BACK), answer["msg"]
    for word in words:
        assert word in answer["msg"], answer["msg"]


def fails(node: Node, parameters: Parameters, *words: str, module: str = "pool_routing", **options: Any) -> None:
    """Run a module that fails at a step, and assert that the node is as before."""
    before = node.snapshot()
    answer = node.module(module, parameters, **options)
    names_step(answer, *words)
    assert_same(before, node.snapshot())


def assert_restored(node: Node, before: Snapshot) -> None:
    """Assert that the node is as before, except for the order in which recreated chains are listed."""
    after = node.snapshot()
    assert_equivalent(before, after)
    assert_same(before, after, "files", "sysctls", "routes4", "routes6", "rules4", "rules6", "links")


def intercept(act: Callable[[str, Sequence[Step], Callable[[Sequence[Step]], None]], None]) -> None:
    """Have this called instead of the writers, in this process: ``act(kind, steps, write)``."""
    original = writer._write  # noqa: SLF001 - the seam between the kinds of steps

    def intercepted(kind: str, steps: Sequence[Step], *others: Any) -> None:
        act(kind, steps, lambda some: original(kind, some, *others))

    writer._write = intercepted  # type: ignore[assignment] # noqa: SLF001


def fail_reverting(kind: str, reason: str, when: Callable[[], bool] = lambda: True) -> None:
    """Have steps of this kind fail that revert what a run added."""

    def failing(now: str, steps: Sequence[Step], write: Callable[[Sequence[Step]], None]) -> None:
        reverts = steps[0].after is None or (now == "chains" and not getattr(steps[0].after, "chains", True))
        if now == kind and reverts and when():
            raise StepsFailed((), steps[0], reason)
        write(steps)

    intercept(failing)


def trap(number: int) -> None:
    """Have the step of this number fail once, after all steps before it took effect."""
    left = [number]

    def trapped(_kind: str, steps: Sequence[Step], write: Callable[[Sequence[Step]], None]) -> None:
        if not 0 <= left[0] < len(steps):
            left[0] -= len(steps)
            write(steps)
            return
        position, left[0] = left[0], -1
        if position:
            write(steps[:position])
        raise StepsFailed(tuple(steps[:position]), steps[position], REASON)

    intercept(trapped)
