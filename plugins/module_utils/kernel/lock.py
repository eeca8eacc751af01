# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer at a time: a run of a module and the guard must not undo each other."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError

FOLDER = "/run"  # itself, so that no file is left behind
WAIT = 60  # seconds; the longest a writer needs is far below, even where it waits for the lock of iptables
_PAUSE = 0.02  # seconds between two tries


class Busy(NodeError):
    """Another run holds the lock."""


@contextmanager
def write_lock(wait: float = WAIT) -> Iterator[None]:
    """Hold the node's lock while reading, planning and writing.

    :param wait: seconds to try for.
    :raises Busy: somebody else held it all that time.
    """
    descriptor = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _acquire(descriptor, wait)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    f"Another run on this node has held the lock (flock of {FOLDER}) for {wait:.0f} s."
                    f' See "fuser -v {FOLDER}"; wait for it to end, and run again.'
                ) from None
            time.sleep(_PAUSE)
        else:
            return
