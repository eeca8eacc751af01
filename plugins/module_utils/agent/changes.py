# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commits a change or rolls it back, in another process than the run that made it."""

from __future__ import annotations

from functools import partial

from .. import pending, rollback, transaction
from ..errors import StepError
from ..kernel.lock import write_lock
from ..persistence.change import Change, forget_timers, load_change


def commit(name: str) -> None:
    """Confirm a change and make it survive a reboot; if that fails, roll all of it back.

    :raises HomewardError: it is not pending any more, or its last steps failed.
    """
    with write_lock():
        if not pending.is_unconfirmed(name):
            return
        change = load_change(pending.folder_of(name))
        try:
            transaction.apply(change.later, change.checkpoint, change.scope, change.tables)
        except StepError as error:
            _roll_back_after(error, change, name)
            raise
        pending.confirm(name)
    pending.discard(name)
    forget_timers((name,))


def _roll_back_after(error: StepError, change: Change, name: str) -> None:
    """Roll back the steps before the commit, too. If that fails, the timer tries again."""
    try:
        transaction.roll_back(change.checkpoint, change.scope, change.tables)
    except StepError as further:
        raise type(further)(
            f"{error} The rollback of the earlier steps failed, too: {further}. The node retries it."
        ) from error
    pending.discard(name)
    forget_timers((name,))


def roll_back(name: str) -> None:
    """Roll a change back when its time has passed, unless it is confirmed before."""
    folder = pending.folder_of(name)
    if not folder.exists():
        return
    change = load_change(folder)
    once = partial(transaction.roll_back_unconfirmed, change.checkpoint, change.scope, change.tables)
    rollback.wait_and_roll_back(name, once)
