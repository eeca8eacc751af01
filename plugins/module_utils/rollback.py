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
    Time is up, and the change is being rolled back. The file stays until that is done.

Whoever renames or removes the file ``unconfirmed`` decides. That succeeds only once, so no change is both confirmed and
rolled back. Whoever rolls back decides while it holds the node's lock, and so does every run.

The service manager rolls back where there is one (see :mod:`.persistence.change`): a background process would end with the
control group of the connection. Elsewhere it is a background process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import syslog
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .errors import NodeError, describe
from .paths import CHANGE_INCOMPLETE, CHANGE_SCRIPT, RUN_DIRECTORY
from .retry import longer_retry
from .transaction import Decide

DIRECTORY = Path(RUN_DIRECTORY)
_UNCONFIRMED, _CONFIRMED, _ROLLING_BACK = "unconfirmed", "confirmed", "rolling-back"
_ROLLING_BACK_0_1 = "taking-back"  # in version 0.1.0, whose background process may outlive an upgrade of the collection
_POLL = 1  # seconds between two checks for the confirmation; affects only how long the process stays
# The controller's last try may be late, so a confirmation is remembered for a while after the deadline.
_REMEMBER = 60  # seconds
_OVERDUE = 5.0  # seconds after which another run no longer waits for the rollback, and starts it
_PAUSE = 0.1  # seconds between two looks at the decision about another run's change
GIVE_UP_AFTER = 3600.0  # seconds

#: Rolls a change back, as far as possible; raises an exception if it is not complete.
RollBack = Callable[[Decide], object]
#: Hands the rollback of the change of this name to the service manager; returns the command line that confirms the change, and
#: whether the service manager will roll it back.
Prepare = Callable[[str], "tuple[str, bool]"]


@dataclass(frozen=True)
class PendingChange:
    """A change that is rolled back unless it is confirmed.

    :param path: rename this file to confirm the change, or remove it.
    :param confirmed: its new name; if this file exists, the change is confirmed already.
    :param seconds: time to confirm it, counted from the end of the change.
    :param commit: command line that confirms the change in place of a renaming; ``""`` if there is none.
    """

    path: str
    confirmed: str
    seconds: int
    commit: str = ""


@contextmanager
def unless_confirmed(seconds: int, roll_back: RollBack, prepare: Prepare) -> Iterator[PendingChange]:
    """Have the change rolled back this long after the block, unless it is confirmed.

    The time also starts when the caller is killed within the block. If ``prepare`` says that the service manager will not do
    it, a background process calls ``roll_back``. All that this needs must have been imported: the module's own files are
    removed by then.

    :raises NodeError: the marker file or the process cannot be created; nothing has been changed yet.
    """
    name = f"{time.monotonic_ns():020}-{os.getpid()}"
    marker = _marker(_UNCONFIRMED, name)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        DIRECTORY.mkdir(mode=0o700, exist_ok=True)
        marker.touch(mode=0o600)
        commit, prepared = prepare(name)
        done = None if prepared else _fork(name, seconds, roll_back)
    except OSError as error:
        with suppress(OSError):
            discard(name)
        raise NodeError(
            f"The node cannot prepare to roll back an unconfirmed change: {error}. Nothing was changed."
            " Fix the cause, or set confirm_timeout: 0."
        ) from error
    try:
        yield PendingChange(str(marker), str(_marker(_CONFIRMED, name)), seconds, commit)
    finally:
        if commit:
            with suppress(OSError):  # then it is rolled back a little earlier
                _until(name).write_text(str(time.monotonic() + seconds), encoding="ascii")
        if done is not None:
            os.close(done)


def _fork(name: str, seconds: int, roll_back: RollBack) -> int:
    """Start the background process; return the descriptor to close when the change is complete."""
    until_done, done = os.pipe()  # nothing is written to it: closing the other end is the message
    child = os.fork()
    if not child:
        _detach(keep=until_done)
        with suppress(OSError):
            _note_process(name)
        os.read(until_done, 1)
        _own_due[name] = time.monotonic() + seconds
        wait_and_roll_back(name, roll_back)
        os._exit(0)
    os.close(until_done)
    os.waitpid(child, 0)
    return done


def _note_process(name: str) -> None:
    """Write this process into the marker file, unless that has been renamed already."""
    descriptor = os.open(_marker(_UNCONFIRMED, name), os.O_WRONLY)
    os.write(descriptor, f"{os.getpid()} {_start_of(os.getpid())}".encode())
    os.close(descriptor)


def _start_of(pid: int) -> str:
    """Return when a process started, as the kernel reuses process IDs, and ``""`` for one that has ended.

    These are fields 22 and 3 of proc_pid_stat(5).
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _process_lives(marker: Path) -> bool:
    try:
        pid, start = marker.read_text(encoding="ascii").split()
        return _start_of(int(pid)) == start
    except (OSError, ValueError, IndexError):
        return False


def cancel(pending: PendingChange) -> None:
    """Cancel the rollback: nothing has been changed after all."""
    discard(_name(Path(pending.path)))


def folder_of(name: str) -> Path:
    """Return the folder with what another process needs to confirm the change or to roll it back."""
    return DIRECTORY / f"change.{name}"


def discard(name: str) -> None:
    """Remove all that exists for the change, except the note that it was confirmed."""
    shutil.rmtree(folder_of(name), ignore_errors=True)
    _until(name).unlink(missing_ok=True)
    _remove(_marker(_UNCONFIRMED, name))


def is_unconfirmed(name: str) -> bool:
    """Return whether the change is still to be decided.

    :raises NodeError: it has been rolled back, or is being so.
    """
    if _marker(_UNCONFIRMED, name).exists():
        return True
    if _marker(_CONFIRMED, name).exists():
        return False
    raise NodeError("The change was not confirmed in time; the node has rolled it back or is doing so.")


def confirm(name: str) -> None:
    """Decide that the change stays. Call it with the lock held."""
    _marker(_UNCONFIRMED, name).rename(_marker(_CONFIRMED, name))


def await_commits(seconds: float) -> None:
    """Wait until no undecided change is incomplete without its commit: another run cannot build on it.

    :raises NodeError: one is still undecided after this time.
    """
    give_up = time.monotonic() + seconds
    for name in awaiting_commit():
        while _marker(_UNCONFIRMED, name).exists():
            if time.monotonic() >= give_up:
                raise NodeError(
                    f"The change of another run on this node waits for its confirmation ({_marker(_UNCONFIRMED, name)})."
                    " Run again when it is confirmed or rolled back. Nothing was changed."
                )
            if 0 < _due(name) < time.monotonic() - _OVERDUE:
                _roll_back_overdue(name, give_up - time.monotonic())
            time.sleep(_PAUSE)


def awaiting_commit() -> tuple[str, ...]:
    """Return the names of the undecided changes that are incomplete without their commit."""
    names = (_name(marker) for marker in _markers(_UNCONFIRMED))
    return tuple(name for name in names if (folder_of(name) / CHANGE_INCOMPLETE).exists())


def _roll_back_overdue(name: str, seconds: float) -> None:
    """Do what nobody else has done in time: the process that was to do it may have been killed."""
    command = ["/bin/sh", str(folder_of(name) / CHANGE_SCRIPT), "rollback", name]
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=max(1.0, seconds), check=False
        )


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
                discard(_name(marker))
    if whole_state:
        for marker in _markers(_ROLLING_BACK, _ROLLING_BACK_0_1):
            _remove(marker)
            discard(_name(marker))


def forget_earlier() -> None:
    """Cancel the rollback of all earlier changes and remove every marker file. Call it with the lock held."""
    for marker in _markers(_UNCONFIRMED, _CONFIRMED, _ROLLING_BACK, _ROLLING_BACK_0_1):
        _remove(marker)
        discard(_name(marker))


def undecided(is_prepared: Callable[[str], bool]) -> tuple[str, ...]:
    """Return a sentence for each change that is not confirmed, or not completely rolled back.

    :param is_prepared: whether the service manager will roll back the change of this name.
    """
    sentences = []
    for marker in _markers(_UNCONFIRMED):
        if _process_lives(marker) or is_prepared(_name(marker)):
            sentences.append("A change is not confirmed yet; the node rolls it back unless it is confirmed in time.")
        else:
            script = folder_of(_name(marker)) / CHANGE_SCRIPT
            remedy = f'"sh {script} rollback {_name(marker)}" does it' if script.exists() else "run apply again"
            sentences.append(
                "A change is not confirmed, and nothing on this node is going to roll it back, because the process that"
                f" would do so has ended; {remedy}."
            )
    for _marker_file in _markers(_ROLLING_BACK, _ROLLING_BACK_0_1):
        sentences.append("A change is being rolled back; this is not complete yet (see journalctl -t metallb-routing).")
    return tuple(sentences)


def _markers(*states: str) -> list[Path]:
    return [marker for state in states for marker in DIRECTORY.glob(f"{state}.*")]


def _marker(state: str, name: str) -> Path:
    return DIRECTORY / f"{state}.{name}"


_own_due: dict[str, float] = {}  # in the background process


def _until(name: str) -> Path:
    return DIRECTORY / f"until.{name}"


def _due(name: str) -> float:
    """Return when the change is to be rolled back (monotonic time); 0 if its run has not completed it."""
    if name in _own_due:
        return _own_due[name]
    try:
        return float(_until(name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0.0


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


def wait_and_roll_back(name: str, roll_back: RollBack) -> None:
    """Wait until the change is confirmed or its time has passed; then roll it back."""
    unconfirmed, confirmed = _marker(_UNCONFIRMED, name), _marker(_CONFIRMED, name)
    deadline = _due(name)
    while unconfirmed.exists() or _marker(_ROLLING_BACK, name).exists():
        deadline = _due(name)
        if time.monotonic() < deadline:
            time.sleep(max(0.0, min(_POLL, deadline - time.monotonic())))
        elif not _roll_back_with_retries(name, roll_back):
            return
    while confirmed.exists() and time.monotonic() < deadline + _REMEMBER:
        time.sleep(_POLL)
    with suppress(OSError):
        discard(name)
        _remove(confirmed)


def _roll_back_with_retries(name: str, roll_back: RollBack) -> bool:
    """Try to roll the change back until that succeeds or is void, and log failures; return False to give up."""
    syslog.openlog("metallb-routing")
    give_up = time.monotonic() + GIVE_UP_AFTER
    delay, logged = 0.0, ""
    while True:
        try:
            roll_back(partial(_decision, name))
            return True
        except Exception as error:  # noqa: BLE001 - the journal is the only place where it can be reported
            problem = describe(error)
        if not any(_marker(state, name).exists() for state in (_UNCONFIRMED, _ROLLING_BACK)):
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


@contextmanager
def _decision(name: str, complete: bool) -> Iterator[bool]:  # noqa: FBT001 - see Decide
    """Decide that the change is rolled back, unless it has been confirmed or its run has just ended; yield whether it is.

    The checkpoint is older than all later changes, so these are rolled back with it and nothing is left to decide about them.
    """
    rolling_back = _marker(_ROLLING_BACK, name)
    if _due(name) <= time.monotonic():
        with suppress(FileNotFoundError):
            _marker(_UNCONFIRMED, name).rename(rolling_back)
    decided = rolling_back.exists()
    yield decided
    if not decided or not complete:
        return
    for marker in _markers(_UNCONFIRMED, _ROLLING_BACK):
        if _name(marker) >= name:
            discard(_name(marker))
            _remove(marker)
    syslog.syslog(syslog.LOG_WARNING, "The last change was not confirmed in time and was rolled back.")
