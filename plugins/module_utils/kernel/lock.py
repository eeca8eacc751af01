# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of the node: one writer at a time, of module runs and the agent.

The lock is a file that only root can create, open and so hold. Its holder removes it, so that no file remains on the node; a
process that has waited for a removed file notices that, and takes the current one.

Where no file can be created, as /run is full or read-only, the lock is the directory of the pending changes, which only root can
open: a change must be rolled back there, too. Whoever holds the file also holds the directory, if there is one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import NodeError
from ..paths import LOCK_FILE, RUN_DIRECTORY

WAIT = 60  # seconds; a writer needs far less, even if it waits for the lock of iptables
_PAUSE = 0.02  # seconds between two tries
_MODE = 0o600


class Busy(NodeError):
    """Another run holds the lock."""


@contextmanager
def write_lock(wait: float = WAIT) -> Iterator[None]:
    """Hold the node's lock while reading, planning and writing.

    :param wait: seconds to try for.
    :raises Busy: another process held it all that time.
    :raises NodeError: the file cannot be created, or is not a regular file of root.
    """
    held = _acquire(wait)
    try:
        yield
    finally:
        held.close()


def _acquire(wait: float) -> ExitStack:
    """Return what releases the lock."""
    deadline = time.monotonic() + wait
    while True:
        with ExitStack() as opened:
            if _take(opened):
                return opened.pop_all()
        if time.monotonic() >= deadline:
            raise Busy(
                f"Another run on this node has held the lock (flock of {LOCK_FILE}) for {wait:.0f} s."
                f' See "fuser -v {LOCK_FILE}"; wait for it to end, and run again.'
            )
        time.sleep(_PAUSE)


def _take(opened: ExitStack) -> bool:
    """Try to take the lock, to be released with ``opened``; return False if another process holds it."""
    file = _open()
    opened.callback(os.close, file)
    if stat.S_ISDIR(os.fstat(file).st_mode):
        return _is_private(file) and _lock(file)
    _check(file)
    if not _lock(file) or not _is_current(file):
        return False
    with suppress(OSError):
        directory = os.open(RUN_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        opened.callback(os.close, directory)
        if _is_private(directory) and not _lock(directory):
            return False
    opened.callback(_remove, file)
    return True


def _open() -> int:
    """Open the file, or what else is the lock where it cannot be created."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT | flags, _MODE)
    except PermissionError as error:
        raise NodeError(
            f"{LOCK_FILE}, the lock of this node, cannot be created: {error.strerror}. Run as root (become: true)."
        ) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_a_file_of_root() from error
        if error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            for path in (LOCK_FILE, RUN_DIRECTORY):
                with suppress(OSError):
                    return os.open(path, os.O_RDONLY | flags)
        raise NodeError(f"{LOCK_FILE}, the lock of this node, cannot be created: {error.strerror}.") from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check(descriptor: int) -> None:
    """Make sure that only root can hold it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise _not_a_file_of_root()
    if stat.S_IMODE(status.st_mode) != _MODE:
        with suppress(OSError):  # read-only
            os.fchmod(descriptor, _MODE)


def _is_private(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _remove(descriptor: int) -> None:
    with suppress(OSError):
        if _is_current(descriptor):
            Path(LOCK_FILE).unlink()


def _not_a_file_of_root() -> NodeError:
    return NodeError(
        f"{LOCK_FILE} is not a regular file of root, but it is the path of this node's lock. Check what it is, and remove it."
    )


def _is_current(descriptor: int) -> bool:
    """Whether the path still leads to this file; the former holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), Path(LOCK_FILE).lstat())
    except FileNotFoundError:
        return False
