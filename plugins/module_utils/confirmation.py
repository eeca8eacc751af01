# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a change back unless somebody says, by a connection made after it, that the node can still be reached.

The sign of a change that waits for this is a file. Whoever removes it has decided: the controller, or a person with
``rm``, that it stays; the process left behind here, when the time is over, that it goes. A file can be removed only once,
so both never happen.
"""

from __future__ import annotations

import os
import signal
import sys
import syslog
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError

FOLDER = Path("/run/homeward.metallb_routing")
_PREFIX = "unconfirmed."
_LOOK = 1  # seconds between two looks whether the change is confirmed; only how long the process lingers


@dataclass(frozen=True)
class Unconfirmed:
    """A change that is taken back unless it is confirmed.

    :param path: remove this file to confirm.
    :param seconds: until it is taken back, once it is made.
    """

    path: str
    seconds: int


@contextmanager
def unless_confirmed(seconds: int, take_back: Callable[[], object]) -> Iterator[Unconfirmed]:
    """Leave a process behind that calls ``take_back`` this long after the block, unless what is yielded is confirmed.

    The time begins as well when the caller is killed within the block. Everything that ``take_back`` needs must be
    imported: what a module was run from is gone by then.

    :raises NodeError: the file or the process cannot be made; nothing has happened yet.
    """
    sign = FOLDER / f"{_PREFIX}{os.getpid()}-{time.monotonic_ns()}"
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
        _wait(sign, time.monotonic() + seconds, take_back)
        os._exit(0)
    os.close(until_done)
    os.waitpid(child, 0)
    try:
        yield Unconfirmed(str(sign), seconds)
    finally:
        os.close(done)


def confirm(unconfirmed: Unconfirmed) -> None:
    """Let a change stay as it is."""
    _remove(Path(unconfirmed.path))


def confirm_earlier() -> None:
    """Let the changes of earlier runs stay: another run has found its way to the node."""
    for sign in FOLDER.glob(f"{_PREFIX}*"):
        _remove(sign)


def _remove(sign: Path) -> bool:
    """Remove the file; whether it was there, and so whether the decision is the caller's."""
    try:
        sign.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # other things are remembered there
        FOLDER.rmdir()
    return True


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


def _wait(sign: Path, deadline: float, take_back: Callable[[], object]) -> None:
    """Wait for the confirmation or the deadline; at that, take the change back, and tell the journal."""
    while time.monotonic() < deadline:
        if not sign.exists():
            return
        time.sleep(max(0.0, min(_LOOK, deadline - time.monotonic())))
    if not _remove(sign):
        return
    syslog.openlog("metallb-routing")
    try:
        take_back()
    except Exception as error:  # noqa: BLE001 - the journal is the only place left to tell it
        syslog.syslog(syslog.LOG_ERR, f"Nobody confirmed the last change, and taking it back failed: {error}")
    else:
        syslog.syslog(syslog.LOG_WARNING, "Nobody confirmed the last change in time; it has been taken back.")
