# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All steps or none: carry a plan out, and undo what was done where one step fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import StepError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.writer import write_steps
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.step import Step, StepsFailed
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership

INTERRUPTIONS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def carry_out(steps: Sequence[Step], ownership: Ownership, pyroute2_path: str) -> None:
    """Do the steps in order.

    A connection that breaks, or an operator's Ctrl-C, does not stop it half way: it takes far less than a second.

    :raises StepError: a step failed; every step before it has been undone unless the message says otherwise.
    """
    with undisturbed():
        try:
            write_steps(steps, ownership, pyroute2_path)
        except StepsFailed as failure:
            position = f"step {len(failure.done) + 1} of {len(steps)}"
            try:
                write_steps([step.inverse() for step in reversed(failure.done)], ownership, pyroute2_path)
            except StepsFailed as second:
                raise StepError(
                    f'{position}, "{failure.failed}", failed: {failure.reason}. Undoing the steps before it failed too, at'
                    f' "{second.failed}": {second.reason}. The node is between two states; mend that cause and run again:'
                    " every run starts from what it finds."
                ) from second
            raise StepError(
                f'{position}, "{failure.failed}", failed: {failure.reason}. The node is as before.'
            ) from failure


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back signals that would stop the process between two steps; they arrive afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
