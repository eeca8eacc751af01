# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that wait for their confirmation, as files from which every process on the node learns who has decided what.

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
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import syslog
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import NodeError
from .paths import CHANGE_INCOMPLETE, CHANGE_SCRIPT, RUN_DIRECTORY

DIRECTORY = Path(RUN_DIRECTORY)
_UNCONFIRMED, _CONFIRMED, _ROLLING_BACK = "unconfirmed", "confirmed", "rolling-back"
_ROLLING_BACK_0_1 = "taking-back"  # in version 0.1.0, whose background process may outlive an upgrade of the collection
_OVERDUE = 5.0  # seconds after which another run no longer waits for the rollback, and starts it
_PAUSE = 0.1  # seconds between two looks at the decision about another run's change


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


def begin(name: str) -> None:
    """Note that the change begins, so that it can be rolled back from now on.

    :raises OSError: the files cannot be created.
    """
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    _marker(_UNCONFIRMED, name).touch(mode=0o600)
    _note_times(name, 0.0)


def complete(name: str, seconds: int) -> None:
    """Note that the change is complete, and is to be rolled back after this time."""
    if is_open(name):  # or a failed run has cancelled it
        with suppress(OSError):  # then it is rolled back a little earlier
            _note_times(name, time.monotonic() + seconds)


def _note_times(name: str, due: float) -> None:
    _until(name).write_text(f"{due} {_ticks_since_boot()}", encoding="ascii")


def _ticks_since_boot() -> int:
    """Return the time in the unit of proc_pid_stat(5). No change of the node's date affects it."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def pending_change(name: str, seconds: int, commit: str) -> PendingChange:
    """Return what the controller has to know of a change."""
    return PendingChange(str(_marker(_UNCONFIRMED, name)), str(_marker(_CONFIRMED, name)), seconds, commit)


def note_process(name: str) -> None:
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


def await_decisions(seconds: float) -> None:
    """Wait until no change is left that this run must neither build on nor confirm.

    :raises NodeError: one is still undecided after this time, or no decision could be noted.
    """
    give_up = time.monotonic() + seconds
    if _markers(_UNCONFIRMED, _ROLLING_BACK) and not os.access(DIRECTORY, os.W_OK):
        raise NodeError(
            f"The change of another run on this node is not decided yet, and {DIRECTORY} cannot be written. Make /run writable"
            " (mount -o remount,rw /run) and run again. Nothing was changed."
        )
    for name in awaiting_decision():
        while _marker(_UNCONFIRMED, name).exists():
            if time.monotonic() >= give_up:
                raise NodeError(
                    f"The change of another run on this node waits for its confirmation ({_marker(_UNCONFIRMED, name)})."
                    " Run again when it is confirmed or rolled back. Nothing was changed."
                )
            if 0 < due(name) < time.monotonic() - _OVERDUE:
                _roll_back_overdue(name, give_up - time.monotonic())
            time.sleep(_PAUSE)


def awaiting_decision() -> tuple[str, ...]:
    """Return the names of the undecided changes that are incomplete without their commit, or that this run cannot confirm."""
    names = (_name(marker) for marker in _markers(_UNCONFIRMED))
    return tuple(name for name in names if (folder_of(name) / CHANGE_INCOMPLETE).exists() or not _reached_after(name))


def _reached_after(name: str) -> bool:
    """Whether this run began after the change: its own connection proves nothing about a change that came later."""
    try:
        complete_at = int(_until(name).read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):  # of version 0.1.0
        return True
    return int(_start_of(os.getpid())) >= complete_at


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


own_due: dict[str, float] = {}  # in the background process


def _until(name: str) -> Path:
    return DIRECTORY / f"until.{name}"


def due(name: str) -> float:
    """Return when the change is to be rolled back (monotonic time); 0 if its run has not completed it."""
    if name in own_due:
        return own_due[name]
    try:
        return float(_until(name).read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0


def _name(marker: Path) -> str:
    return marker.name.partition(".")[2]


def _remove(marker: Path) -> None:
    marker.unlink(missing_ok=True)
    with suppress(OSError):  # the directory also holds original values of sysctls
        DIRECTORY.rmdir()


def is_open(name: str) -> bool:
    """Whether the change is undecided or being rolled back."""
    return any(_marker(state, name).exists() for state in (_UNCONFIRMED, _ROLLING_BACK))


def is_confirmed(name: str) -> bool:
    """Whether the change is confirmed, and this is still remembered."""
    return _marker(_CONFIRMED, name).exists()


def forget(name: str) -> None:
    """Remove all that exists for the change."""
    discard(name)
    _remove(_marker(_CONFIRMED, name))


@contextmanager
def decision(name: str, complete: bool) -> Iterator[bool]:  # noqa: FBT001 - see Decide
    """Decide that the change is rolled back, unless it has been confirmed or its run has just ended; yield whether it is.

    The checkpoint is older than all later changes, so these are rolled back with it and nothing is left to decide about them.

    :raises NodeError: it is rolled back, but this cannot be noted.
    """
    decided = _decide(name)
    yield decided
    if not decided or not complete:
        return
    try:
        for marker in _markers(_UNCONFIRMED, _ROLLING_BACK):
            if _name(marker) >= name:
                discard(_name(marker))
                _remove(marker)
    except OSError as error:
        raise NodeError(f"the node is as before, but this cannot be noted: {error}") from error
    syslog.syslog(syslog.LOG_WARNING, "The last change was not confirmed in time and was rolled back.")


def _decide(name: str) -> bool:
    """Decide if it is time; return whether the change is to be rolled back."""
    unconfirmed, rolling_back = _marker(_UNCONFIRMED, name), _marker(_ROLLING_BACK, name)
    if due(name) <= time.monotonic():
        try:
            unconfirmed.rename(rolling_back)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return unconfirmed.exists() or rolling_back.exists()  # nobody can confirm it any more either
    return rolling_back.exists()
