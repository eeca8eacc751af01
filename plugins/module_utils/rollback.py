# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll a change back unless it is confirmed over a connection that was made after it.

A pending change has a marker file. The first part of the file's name is the state of the change:

``unconfirmed``
    Not decided yet.
``confirmed``
    The change is kept: the controller confirmed it, or a later run made the node as desired. (An administrator may also
    remove the file ``unconfirmed``.) The file stays for a while: if the reply to a confirmation gets lost, the next try must
    get the same answer.
``rolling-back``
    Time is up, and the background process rolls the change back. The file stays until that is done.

Whoever renames or removes the file ``unconfirmed`` decides. That succeeds only once, so no change is both confirmed and
rolled back. The background process decides while it holds the node's lock, and so does every run.
"""

from __future__ import annotations

import os
import signal
import sys
import syslog
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import NodeError, describe
from .paths import RUN_DIRECTORY

DIRECTORY = Path(RUN_DIRECTORY)
_UNCONFIRMED, _CONFIRMED, _ROLLING_BACK = "unconfirmed", "confirmed", "rolling-back"
_ROLLING_BACK_0_1 = "taking-back"  # in version 0.1.0, whose background process may outlive an upgrade of the collection
_POLL = 1  # seconds between two checks for the confirmation; affects only how long the process stays
# The controller's last try may be late, so a confirmation is remembered for a while after the deadline.
_REMEMBER = 60  # seconds
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # seconds between two tries to roll back
GIVE_UP_AFTER = 3600.0  # seconds

#: Rolls a change back, as far as possible. While it holds the lock, it enters the given context, whose value says whether to
#: roll back at all, and leaves it when the rollback is complete; with an exception if it failed.
RollBack = Callable[[AbstractContextManager[bool]], object]


@dataclass(frozen=True)
class PendingChange:
    """A change that is rolled back unless it is confirmed.

    :param path: rename this file to confirm the change, or remove it.
    :param confirmed: its new name; if this file exists, the change is confirmed already.
    :param seconds: time to confirm it, counted from the end of the change.
    """

    path: str
    confirmed: str
    seconds: int


@contextmanager
def unless_confirmed(seconds: int, roll_back: RollBack) -> Iterator[PendingChange]:
    """Start a background process that calls ``roll_back`` this long after the block, unless the change is confirmed.

    The time also starts when the caller is killed within the block. All that ``roll_back`` needs must have been imported:
    the module's own files are removed by then.

    :raises NodeError: the marker file or the process cannot be created; nothing has been changed yet.
    """
    name = f"{time.monotonic_ns():020}-{os.getpid()}"
    marker = _marker(_UNCONFIRMED, name)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        marker.touch(mode=0o600)
        until_done, done = os.pipe()  # nothing is written to it: closing the other end is the message
        child = os.fork()
    except OSError as error:
        with suppress(OSError):
            _remove(marker)
        raise NodeError(
            f"The node cannot prepare to roll back an unconfirmed change: {error}. Nothing was changed."
            " Fix the cause, or set confirm_timeout: 0."
        ) from error
    if not child:
        _detach(keep=until_done)
        os.read(until_done, 1)
        _wait(name, time.monotonic() + seconds, roll_back)
        os._exit(0)
    os.close(until_done)
    os.waitpid(child, 0)
    try:
        yield PendingChange(str(marker), str(_marker(_CONFIRMED, name)), seconds)
    finally:
        os.close(done)


def cancel(pending: PendingChange) -> None:
    """Cancel the rollback: nothing has been changed after all."""
    _remove(Path(pending.path))


def confirm_earlier(own: PendingChange | None = None, *, whole_state: bool) -> None:
    """Confirm the changes of earlier runs: this run has reached the node and made it as desired.

    Call it with the lock held, so that no earlier run is writing and nothing is being rolled back.

    :param own: the caller's own change, which stays pending.
    :param whole_state: the run covered the whole managed state, so what is left of an earlier rollback is void too.
    """
    for marker in _markers(_CONFIRMED):
        _remove(marker)
    for marker in _markers(_UNCONFIRMED):
        if own is None or str(marker) != own.path:
            with suppress(FileNotFoundError):  # the controller or an administrator was first
                marker.rename(_marker(_CONFIRMED, _name(marker)))
    if whole_state:
        for marker in _markers(_ROLLING_BACK, _ROLLING_BACK_0_1):
            _remove(marker)


def forget_earlier() -> None:
    """Cancel the rollback of all earlier changes and remove every marker file. Call it with the lock held."""
    for marker in _markers(_UNCONFIRMED, _CONFIRMED, _ROLLING_BACK, _ROLLING_BACK_0_1):
        _remove(marker)


def undecided() -> tuple[str, ...]:
    """Return a sentence for each change that is not confirmed, or not completely rolled back."""
    sentences = {
        _UNCONFIRMED: "A change is not confirmed yet; the node rolls it back unless it is confirmed in time.",
        _ROLLING_BACK: "A change is being rolled back; this is not complete yet (see journalctl -t metallb-routing).",
    }
    sentences[_ROLLING_BACK_0_1] = sentences[_ROLLING_BACK]
    return tuple(sentence for state, sentence in sentences.items() for _found in _markers(state))


def _markers(*states: str) -> list[Path]:
    return [marker for state in states for marker in DIRECTORY.glob(f"{state}.*")]


def _marker(state: str, name: str) -> Path:
    return DIRECTORY / f"{state}.{name}"


def _name(marker: Path) -> str:
    return marker.name.partition(".")[2]


def _remove(marker: Path) -> None:
    marker.unlink(missing_ok=True)
    with suppress(OSError):  # the directory also holds original values of sysctls
        DIRECTORY.rmdir()


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


def _wait(name: str, deadline: float, roll_back: RollBack) -> None:
    """Wait until the change is confirmed or the deadline has passed; then roll it back."""
    unconfirmed, confirmed = _marker(_UNCONFIRMED, name), _marker(_CONFIRMED, name)
    while unconfirmed.exists() and time.monotonic() < deadline:
        time.sleep(max(0.0, min(_POLL, deadline - time.monotonic())))
    if unconfirmed.exists():
        _roll_back_with_retries(name, roll_back)
    while confirmed.exists() and time.monotonic() < deadline + _REMEMBER:
        time.sleep(_POLL)
    with suppress(OSError):
        _remove(confirmed)


def _roll_back_with_retries(name: str, roll_back: RollBack) -> None:
    """Try to roll the change back until that succeeds or is void, and log failures."""
    syslog.openlog("metallb-routing")
    give_up = time.monotonic() + GIVE_UP_AFTER
    delay, logged = FIRST_DELAY, ""
    while True:
        try:
            roll_back(_decision(name))
            return
        except Exception as error:  # noqa: BLE001 - the journal is the only place where it can be reported
            problem = describe(error)
        if not any(_marker(state, name).exists() for state in (_UNCONFIRMED, _ROLLING_BACK)):
            return
        last = time.monotonic() >= give_up
        if last or problem != logged:
            action = f"giving up after {GIVE_UP_AFTER:.0f} s" if last else "retrying"
            syslog.syslog(
                syslog.LOG_ERR, f"The last change was not confirmed, and its rollback failed; {action}: {problem}"
            )
        if last:
            return
        logged = problem
        time.sleep(delay)
        delay = min(LONGEST_DELAY, 2 * delay)


@contextmanager
def _decision(name: str) -> Iterator[bool]:
    """Decide that the change is rolled back, unless it has been confirmed; yield whether it is. The block then does so.

    The checkpoint is older than all later changes, so these are rolled back with it and nothing is left to decide about them.
    """
    rolling_back = _marker(_ROLLING_BACK, name)
    with suppress(FileNotFoundError):
        _marker(_UNCONFIRMED, name).rename(rolling_back)
    decided = rolling_back.exists()
    yield decided
    if not decided:
        return
    for marker in _markers(_UNCONFIRMED, _ROLLING_BACK):
        if _name(marker) >= name:
            _remove(marker)
    syslog.syslog(syslog.LOG_WARNING, "The last change was not confirmed in time and was rolled back.")
