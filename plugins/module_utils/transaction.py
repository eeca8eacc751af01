# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All steps or none: apply a plan, and roll back if a step fails."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from .errors import HomewardError, RollbackFailed, StepError, describe
from .kernel.iptables import tables
from .kernel.lock import write_lock
from .kernel.reader import Scope, read_node
from .kernel.writer import write_steps
from .planning.plan import make_plan
from .state import NodeState, Ownership
from .state.kinds import CHAINS, KINDS, plurals
from .state.route_selection import routes_to
from .state.step import Step, StepsFailed

#: Kinds that are read and rolled back together. Programs that fail or hang must not keep the others from it, so chains are last.
WITHOUT_CHAINS = plurals(kind for kind in KINDS if kind is not CHAINS)
PARTS = (WITHOUT_CHAINS, plurals((CHAINS,)))
#: To be entered with the lock held; its value says whether to roll back. The argument says whether the rollback is complete.
Decide = Callable[[bool], AbstractContextManager[bool]]
INTERRUPTIONS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def apply(
    steps: Sequence[Step],
    checkpoint: NodeState,
    scope: Scope,
    pyroute2_path: str,
    verify: Callable[[], None] = lambda: None,
) -> None:
    """Carry out the steps in order, then verify the result.

    A lost connection or Ctrl-C does not interrupt it between two steps; it takes far less than a second.

    :param checkpoint: the managed state of the node now, to which a failed run is rolled back.
    :param verify: raises an exception if the change must not stay.
    :raises RollbackFailed: a step or the verification failed, and so did the rollback.
    :raises StepError: a step or the verification failed, and the steps before it were rolled back.
    """
    with signals_blocked():
        try:
            write_steps(steps, scope.ownership, pyroute2_path)
        except StepsFailed as failure:
            position = f"step {steps.index(failure.failed) + 1} of {len(steps)}"
            reason = f'{position}, "{failure.failed}", failed: {failure.reason}.'
            raise _failed(reason, _revert(failure, checkpoint, scope, pyroute2_path)) from failure
        try:
            verify()
        except Exception as error:  # whatever it is, a change that is not verified must not stay
            reason = f"The change must not stay: {describe(error)}."
            raise _failed(reason, _roll_back_parts(checkpoint, scope, pyroute2_path)) from error


def _failed(reason: str, problems: Sequence[str]) -> StepError:
    """Return the error of a change that was rolled back, except for these problems."""
    if not problems:
        return StepError(f"{reason} The change was rolled back; the node is as before.")
    return RollbackFailed(
        f"{reason} The rollback failed too: {'; '.join(problems)}. The node is in a mixed state. Fix the cause and run again:"
        " every run starts from the current state."
    )


def roll_back(checkpoint: NodeState, scope: Scope, pyroute2_path: str) -> None:
    """Make the managed state of the node equal the checkpoint again; a step that fails does not prevent the others.

    :raises RollbackFailed: some steps failed; names each with its reason.
    """
    with signals_blocked():
        problems = _roll_back_parts(checkpoint, scope, pyroute2_path)
    if problems:
        raise RollbackFailed("; ".join(problems))


def roll_back_unconfirmed(checkpoint: NodeState, scope: Scope, pyroute2_path: str, decide: Decide) -> None:
    """Roll back as :func:`roll_back` does, if that is the decision each time that the lock is held.

    The lock is not held while nothing is known about the programs of iptables: they may hang.

    :param decide: is called with the lock held, with whether this is the last part; says whether to roll back.
    :raises HomewardError: something could not be rolled back yet.
    """
    problems: list[str] = []
    for kinds in PARTS:
        part = replace(scope, kinds=scope.kinds & kinds)
        if CHAINS.plural in part.kinds:
            unusable = _problem_of_programs(part)
            if unusable:
                problems += unusable
                continue
        with write_lock(), decide(False) as decided:
            if not decided:
                return
            with signals_blocked():
                problems += _roll_back_parts(checkpoint, part, pyroute2_path)
    if problems:
        raise RollbackFailed("; ".join(problems))
    with write_lock(), decide(True):
        pass


def _problem_of_programs(scope: Scope) -> list[str]:
    try:
        tables.read(scope.iptables_variant, scope.ownership, scope.tables)
    except HomewardError as error:
        return [describe(error)]
    return []


def _roll_back_parts(checkpoint: NodeState, scope: Scope, pyroute2_path: str) -> list[str]:
    """Make each part equal the checkpoint by itself; return what could not be done."""
    problems = []
    for kinds in PARTS:
        part = replace(scope, kinds=scope.kinds & kinds)
        try:
            steps = _steps_to(checkpoint.only(part.kinds), part, pyroute2_path) if part.kinds else ()
        except Exception as error:  # noqa: BLE001 - whatever it is, the user has to know what the rollback achieved
            problems.append(f"the {'chains' if CHAINS.plural in kinds else 'node'} cannot be read: {describe(error)}")
        else:
            problems += _write_possible(steps, scope.ownership, pyroute2_path)
    return problems


def _revert(failure: StepsFailed, checkpoint: NodeState, scope: Scope, pyroute2_path: str) -> list[str]:
    """Revert the steps that were carried out, or may have been; return what could not be reverted.

    The node is read again only if it is unknown which steps took effect, or if reverting one of them fails: the object may
    no longer exist, and what prevented writing may prevent reading too.
    """
    inverse = [step.inverse() for step in reversed(failure.done)]
    problems = _write_possible(inverse, scope.ownership, pyroute2_path)
    if not problems and not failure.unsure:
        return []
    remaining = _roll_back_parts(checkpoint, scope, pyroute2_path)
    return [*problems, *remaining] if any("cannot be read" in problem for problem in remaining) else remaining


def _steps_to(checkpoint: NodeState, scope: Scope, pyroute2_path: str) -> Sequence[Step]:
    narrow = replace(scope, routes=routes_to(checkpoint.routes), facts=False)
    return make_plan(checkpoint, read_node(narrow, pyroute2_path)).steps


def _write_possible(steps: Sequence[Step], ownership: Ownership, pyroute2_path: str) -> list[str]:
    """Carry out every step that can be carried out; return the others, each with its reason."""
    problems = []
    remaining = list(steps)
    while remaining:
        try:
            write_steps(remaining, ownership, pyroute2_path)
        except StepsFailed as failure:
            problems.append(f'"{failure.failed}": {failure.reason}')
            tried = {*failure.done, failure.failed, *failure.unsure}
            remaining = [step for step in remaining if step not in tried]
        except Exception as error:  # noqa: BLE001 - as above; none of the remaining steps was carried out
            return [*problems, f'"{remaining[0]}": {describe(error)}']
        else:
            break
    return problems


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block signals that would end the process between two steps; they are delivered afterwards."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
