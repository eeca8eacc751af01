# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All steps or none: carry a plan out, and undo what was done where one step fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .errors import BetweenStates, StepError, describe
from .kernel.reader import Scope, read_node
from .kernel.writer import write_steps
from .planning.plan import make_plan
from .state import NodeState, Ownership
from .state.step import Step, StepsFailed

INTERRUPTIONS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def carry_out(steps: Sequence[Step], before: NodeState, scope: Scope, pyroute2_path: str) -> None:
    """Do the steps in order.

    A connection that breaks, or an operator's Ctrl-C, does not stop it half way: it takes far less than a second.

    :param before: what the node has of ours now.
    :raises BetweenStates: a step failed, and so did undoing what was done.
    :raises StepError: a step failed, and what was done has been undone.
    """
    with undisturbed():
        try:
            write_steps(steps, scope.ownership, pyroute2_path)
        except StepsFailed as failure:
            position = f"step {steps.index(failure.failed) + 1} of {len(steps)}"
            why = f'{position}, "{failure.failed}", failed: {failure.reason}.'
            problems = _undo(failure, before, scope, pyroute2_path)
            if problems:
                raise BetweenStates(
                    f"{why} Undoing what was done failed too: {'; '.join(problems)}. The node is between two states;"
                    " mend that cause and run again: every run starts from what it finds."
                ) from failure
            raise StepError(f"{why} The node is as before.") from failure


def go_back(before: NodeState, scope: Scope, pyroute2_path: str) -> None:
    """Make the node as it was, as far as that can be: a step that fails keeps no other from being done.

    :raises BetweenStates: not all of it could be done; tells what could not.
    """
    with undisturbed():
        problems = _write_what_can_be(_steps_back(before, scope, pyroute2_path), scope.ownership, pyroute2_path)
    if problems:
        raise BetweenStates("; ".join(problems))


def _undo(failure: StepsFailed, before: NodeState, scope: Scope, pyroute2_path: str) -> list[str]:
    """Undo what was done, and what may have been; return what could not be undone.

    The node is read anew only where it is not known what was done, or where something of it cannot be undone as it was
    done: it may be gone by itself, and what kept the program from writing may keep it from reading too.
    """
    back = [step.inverse() for step in reversed(failure.done)]
    problems = _write_what_can_be(back, scope.ownership, pyroute2_path)
    if not problems and not failure.unsure:
        return []
    try:
        left = _steps_back(before, scope, pyroute2_path)
    except Exception as error:  # noqa: BLE001 - whatever it is, the user has to know how far the undoing came
        return [*problems, f"what is left of it cannot be found out: {describe(error)}"]
    return _write_what_can_be(left, scope.ownership, pyroute2_path)


def _steps_back(before: NodeState, scope: Scope, pyroute2_path: str) -> Sequence[Step]:
    return make_plan(before, read_node(scope, pyroute2_path)).steps


def _write_what_can_be(steps: Sequence[Step], ownership: Ownership, pyroute2_path: str) -> list[str]:
    """Carry out every step that can be; return which could not, and why."""
    problems = []
    rest = list(steps)
    while rest:
        try:
            write_steps(rest, ownership, pyroute2_path)
        except StepsFailed as failure:
            problems.append(f'"{failure.failed}": {failure.reason}')
            over = {*failure.done, failure.failed, *failure.unsure}
            rest = [step for step in rest if step not in over]
        except Exception as error:  # noqa: BLE001 - as above; nothing of the rest was done
            return [*problems, f'"{rest[0]}": {describe(error)}']
        else:
            break
    return problems


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back signals that would stop the process between two steps; they arrive afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
