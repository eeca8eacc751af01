# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll a change back unless it is confirmed over a connection that was made after it.

The service manager rolls back where there is one (see :mod:`.persistence.change`): a background process would end with the
control group of the connection. Elsewhere it is a background process.
"""

from __future__ import annotations

import os
import signal
import sys
import syslog
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from . import pending
from .errors import NodeError, describe
from .retry import longer_retry
from .transaction import Decide

_POLL = 1  # seconds between two checks for the confirmation; affects only how long the process stays
# The controller's last try may be late, so a confirmation is remembered for a while after the deadline.
_REMEMBER = 60  # seconds
GIVE_UP_AFTER = 3600.0  # seconds

#: Rolls a change back, as far as possible; raises an exception if it is not complete.
RollBack = Callable[[Decide], object]
#: Hands the rollback of the change of this name to the service manager; returns the command line that confirms the change, and
#: whether the service manager will roll it back.
Prepare = Callable[[str], "tuple[str, bool]"]


@contextmanager
def unless_confirmed(seconds: int, roll_back: RollBack, prepare: Prepare) -> Iterator[pending.PendingChange]:
    """Have the change rolled back this long after the block, unless it is confirmed.

    The time also starts when the caller is killed within the block. If ``prepare`` says that the service manager will not do
    it, a background process calls ``roll_back``. All that this needs must have been imported: the module's own files are
    removed by then.

    :raises NodeError: the marker file or the process cannot be created; nothing has been changed yet.
    """
    name = f"{time.monotonic_ns():020}-{os.getpid()}"
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pending.begin(name)
        commit, prepared = prepare(name)
        done = None if prepared else _fork(name, seconds, roll_back)
    except OSError as error:
        with suppress(OSError):
            pending.discard(name)
        raise NodeError(
            f"The node cannot prepare to roll back an unconfirmed change: {error}. Nothing was changed."
            " Fix the cause, or set confirm_timeout: 0."
        ) from error
    try:
        yield pending.pending_change(name, seconds, commit)
    finally:
        pending.complete(name, seconds)
        if done is not None:
            os.close(done)


def _fork(name: str, seconds: int, roll_back: RollBack) -> int:
    """Start the background process; return the descriptor to close when the change is complete."""
    until_done, done = os.pipe()  # nothing is written to it: closing the other end is the message
    child = os.fork()
    if not child:
        _detach(keep=until_done)
        with suppress(OSError):
            pending.note_process(name)
        os.read(until_done, 1)
        pending.own_due[name] = time.monotonic() + seconds
        wait_and_roll_back(name, roll_back)
        os._exit(0)
    os.close(until_done)
    os.waitpid(child, 0)
    return done


def _detach(keep: int) -> None:
    """Outlive the connection, and hold neither the module's output, for whose end Ansible waits, nor its lock."""
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    for descriptor in [int(link.name) for link in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor != keep:
            with suppress(OSError):  # the one that the directory was listed with
                os.close(descriptor)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)


def wait_and_roll_back(name: str, roll_back: RollBack) -> None:
    """Wait until the change is confirmed or its time has passed; then roll it back."""
    deadline = pending.due(name)
    while pending.is_open(name):
        deadline = pending.due(name)
        if time.monotonic() < deadline:
            time.sleep(max(0.0, min(_POLL, deadline - time.monotonic())))
        elif not _roll_back_with_retries(name, roll_back):
            return
    while pending.is_confirmed(name) and time.monotonic() < deadline + _REMEMBER:
        time.sleep(_POLL)
    with suppress(OSError):
        pending.forget(name)


def _roll_back_with_retries(name: str, roll_back: RollBack) -> bool:
    """Try to roll the change back until that succeeds or is void, and log failures; return False to give up."""
    syslog.openlog("metallb-routing")
    give_up = time.monotonic() + GIVE_UP_AFTER
    delay, logged = 0.0, ""
    while True:
        try:
            roll_back(partial(pending.decision, name))
            return True
        except Exception as error:  # noqa: BLE001 - the journal is the only place where it can be reported
            problem = describe(error)
        if not pending.is_open(name):
            return True
        last = time.monotonic() >= give_up
        if last or problem != logged:
            action = f"giving up after {GIVE_UP_AFTER:.0f} s" if last else "retrying"
            syslog.syslog(
                syslog.LOG_ERR, f"The last change was not confirmed, and its rollback failed; {action}: {problem}"
            )
        if last:
            return False
        logged = problem
        delay = longer_retry(delay)
        time.sleep(delay)
