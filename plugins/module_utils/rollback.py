# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a change back unless somebody says, by a connection made after it, that the node can still be reached.

The sign of a change that waits for this is a file, and the first word of its name tells what has been decided:

``unconfirmed``
    Nothing yet.
``confirmed``
    The change stays; the controller said so, or a later run that made the node as it should be. A person may as well
    remove ``unconfirmed``. The file stays a while, so that who asks again because the answer got lost is told the same.
``taking-back``
    The time was over, and the process left behind here takes the change back. The file stays until that is done.

Whoever gives ``unconfirmed`` another name, or removes it, has decided. That can be done only once, so the change is never
both confirmed and taken back. The process left behind decides with the lock of the node held, and so does every run.
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

FOLDER = Path("/run/homeward.metallb_routing")
_UNCONFIRMED, _CONFIRMED, _TAKING_BACK = "unconfirmed", "confirmed", "taking-back"
_LOOK = 1  # seconds between two looks whether the change is confirmed; only how long the process lingers
_LINGER = 60  # seconds that a confirmation is remembered after the time is over: the controller's last try may be late
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two tries to take a change back
PATIENCE = 3600.0  # seconds after which nothing more is tried

#: Takes a change back, best effort. What it is given tells, once nobody else writes, whether that is still wanted, and is
#: left when all is taken back, or by an error when it is not.
TakeBack = Callable[[AbstractContextManager[bool]], object]


@dataclass(frozen=True)
class Unconfirmed:
    """A change that is taken back unless it is confirmed.

    :param path: rename this file to confirm, or remove it.
    :param confirmed: its name then; that it is there means that the change is confirmed already.
    :param seconds: until it is taken back, once it is made.
    """

    path: str
    confirmed: str
    seconds: int


@contextmanager
def unless_confirmed(seconds: int, take_back: TakeBack) -> Iterator[Unconfirmed]:
    """Leave a process behind that calls ``take_back`` this long after the block, unless what is yielded is confirmed.

    The time begins as well when the caller is killed within the block. Everything that ``take_back`` needs must be
    imported: what a module was run from is gone by then.

    :raises NodeError: the file or the process cannot be made; nothing has happened yet.
    """
    name = f"{time.monotonic_ns():020}-{os.getpid()}"
    sign = _sign(_UNCONFIRMED, name)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        sign.touch(mode=0o600)
        until_done, done = os.pipe()  # nobody writes: that its other end is closed says it all
        child = os.fork()
    except OSError as error:
        with suppress(OSError):
            _remove(sign)
        raise NodeError(
            f"Nothing could be left behind that would take the change back if nobody confirms it: {error}. Nothing was changed."
            " Mend that, or do without it (confirm_timeout: 0)."
        ) from error
    if not child:
        _detach(keep=until_done)
        os.read(until_done, 1)
        _watch(name, time.monotonic() + seconds, take_back)
        os._exit(0)
    os.close(until_done)
    os.waitpid(child, 0)
    try:
        yield Unconfirmed(str(sign), str(_sign(_CONFIRMED, name)), seconds)
    finally:
        os.close(done)


def withdraw(unconfirmed: Unconfirmed) -> None:
    """Have nothing taken back: nothing has been changed after all."""
    _remove(Path(unconfirmed.path))


def confirm_earlier(made: Unconfirmed | None = None, *, all_of_ours: bool) -> None:
    """Let the changes of earlier runs stay: this one has found its way to the node, and has made it as it should be.

    To be called with the lock held, so that no earlier run is still writing, and nothing is being taken back just then.

    :param made: the caller's own change.
    :param all_of_ours: whether that is all that we may have on the node; then nothing of before is to come back either.
    """
    for sign in FOLDER.glob(f"{_CONFIRMED}.*"):
        _remove(sign)
    for sign in FOLDER.glob(f"{_UNCONFIRMED}.*"):
        if made is None or str(sign) != made.path:
            with suppress(FileNotFoundError):  # the controller or a person came first
                sign.rename(_sign(_CONFIRMED, _name(sign)))
    if all_of_ours:
        for sign in FOLDER.glob(f"{_TAKING_BACK}.*"):
            _remove(sign)


def forget_earlier() -> None:
    """Have nothing taken back of what earlier runs did, and leave no sign of them. To be called with the lock held."""
    for word in (_UNCONFIRMED, _CONFIRMED, _TAKING_BACK):
        for sign in FOLDER.glob(f"{word}.*"):
            _remove(sign)


def undecided() -> tuple[str, ...]:
    """Return what is to be said of earlier changes that are not confirmed, or not all taken back, a sentence for each."""
    sentences = {
        _UNCONFIRMED: "A change has not been confirmed (yet); the node takes it back if nobody does.",
        _TAKING_BACK: "A change is being taken back, and not all of it is yet (journalctl -t metallb-routing tells why).",
    }
    return tuple(text for word, text in sentences.items() for _found in FOLDER.glob(f"{word}.*"))


def _sign(word: str, name: str) -> Path:
    return FOLDER / f"{word}.{name}"


def _name(sign: Path) -> str:
    return sign.name.partition(".")[2]


def _remove(sign: Path) -> None:
    sign.unlink(missing_ok=True)
    with suppress(OSError):  # other things are remembered there
        FOLDER.rmdir()


def _detach(keep: int) -> None:
    """Outlive the connection, and hold nothing of the module's: neither its output, for which Ansible waits, nor its lock."""
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    for descriptor in [int(link.name) for link in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor != keep:
            with suppress(OSError):  # that of the list itself
                os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)


def _watch(name: str, deadline: float, take_back: TakeBack) -> None:
    """Wait for the confirmation or the deadline; at that, take the change back."""
    unconfirmed, confirmed = _sign(_UNCONFIRMED, name), _sign(_CONFIRMED, name)
    while unconfirmed.exists() and time.monotonic() < deadline:
        time.sleep(max(0.0, min(_LOOK, deadline - time.monotonic())))
    if unconfirmed.exists():
        _take_back_at_last(name, take_back)
    while confirmed.exists() and time.monotonic() < deadline + _LINGER:
        time.sleep(_LOOK)
    with suppress(OSError):
        _remove(confirmed)


def _take_back_at_last(name: str, take_back: TakeBack) -> None:
    """Try to take the change back until that is done or decided otherwise, and tell the journal."""
    syslog.openlog("metallb-routing")
    give_up = time.monotonic() + PATIENCE
    pause, told = FIRST_PAUSE, ""
    while True:
        try:
            take_back(_decision(name))
            return
        except Exception as error:  # noqa: BLE001 - the journal is the only place left to tell it
            problem = describe(error)
        if not any(_sign(word, name).exists() for word in (_UNCONFIRMED, _TAKING_BACK)):
            return
        last = time.monotonic() >= give_up
        if last or problem != told:
            then = f"given up after {PATIENCE:.0f} s" if last else "it is tried again until that is done"
            syslog.syslog(
                syslog.LOG_ERR, f"Nobody confirmed the last change, and taking it back failed; {then}: {problem}"
            )
        if last:
            return
        told = problem
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)


@contextmanager
def _decision(name: str) -> Iterator[bool]:
    """Decide that the change is taken back, unless somebody has decided already; with the block that is done.

    With it all goes that was changed since, so nothing is left to be decided of that.
    """
    taking_back = _sign(_TAKING_BACK, name)
    with suppress(FileNotFoundError):
        _sign(_UNCONFIRMED, name).rename(taking_back)
    wanted = taking_back.exists()
    yield wanted
    if not wanted:
        return
    for word in (_UNCONFIRMED, _TAKING_BACK):
        for sign in FOLDER.glob(f"{word}.*"):
            if _name(sign) >= name:
                _remove(sign)
    syslog.syslog(syslog.LOG_WARNING, "Nobody confirmed the last change in time; it has been taken back.")
