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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/run/homeward.metallb_routing")
_PREFIX = "unconfirmed."
_LOOK = 1  # seconds between two looks whether the change is confirmed; only how long the process lingers


@dataclass(frozen=True)
class Unconfirmed:
    """A change that is taken back unless it is confirmed.

    :param path: remove this file to confirm.
    :param seconds: until it is taken back.
    """

    path: str
    seconds: int


def unless_confirmed(seconds: int, take_back: Callable[[], object]) -> Unconfirmed:
    """Leave a process behind that calls ``take_back`` after this time, and return what keeps it from doing so.

    Everything that ``take_back`` needs must be imported: what a module was run from is gone by then.

    :raises OSError: the file or the process cannot be made.
    """
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    sign = FOLDER / f"{_PREFIX}{os.getpid()}-{time.monotonic_ns()}"
    sign.touch(mode=0o600)
    deadline = time.monotonic() + seconds
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _detach()
        _wait(sign, deadline, take_back)
        os._exit(0)
    os.waitpid(child, 0)
    return Unconfirmed(str(sign), seconds)


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


def _detach() -> None:
    """Outlive the connection, and hold nothing of the module's: neither its output, for which Ansible waits, nor its lock."""
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # that of the list itself
            os.close(int(descriptor.name))
    for _standard in range(3):
        os.open(os.devnull, os.O_RDWR)


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
