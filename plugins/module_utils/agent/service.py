# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that puts back what is ours when something takes it: it listens, and has the healer look."""

# pylint: disable=ansible-bad-function  # a service speaks to the journal

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

from ..errors import HomewardError
from ..kernel.lock import Busy, write_lock
from ..kernel.netlink.events import EVERYTHING, Changes, EventMonitor
from ..paths import VERSION_FILE
from .reconciler import Healer

SWEEP = 30.0  # seconds between two looks at everything, for what changes without an event
BUSY = 0.05  # seconds until the next try where another run holds the lock
PATIENCE_AT_START = 10.0  # seconds that the boot waits at most for links to appear
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0  # seconds until the next try where the node could not be read


class Guard:
    """Keeps the declared state true until it is told to stop.

    :param version: told back to whoever asks what is running.
    :param sweep: seconds between two looks at everything.
    """

    def __init__(self, version: str, sweep: float = SWEEP) -> None:
        self._version = version
        self._sweep = sweep
        self._healer = Healer()
        self._retry = 0.0  # seconds to wait before the next try; 0 while all is well
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM; SIGHUP makes it look at everything, what it had left alone too.

        :raises NodeError: there is no usable state file at the start.
        """
        self._healer.load()
        wake = self._wake_on_signals()
        watch = EventMonitor()
        watch.register(wake.fileno())
        _write_version(self._version)
        try:
            self._serve(watch, wake)
        finally:
            watch.close()

    def _serve(self, watch: EventMonitor, wake: socket.socket) -> None:
        ready_by: float | None = time.monotonic() + PATIENCE_AT_START
        swept = float("-inf")
        heard = Changes(kinds=set(EVERYTHING), at=time.monotonic())
        while not self._stopping:
            watch.set_filter(self._healer.interests())
            if time.monotonic() - swept >= self._sweep:
                heard.kinds |= EVERYTHING
            unserved = self._look(heard) if heard.kinds else Changes()
            now = time.monotonic()
            if heard.kinds >= EVERYTHING and not unserved.kinds:
                swept = now
            # Whoever holds the lock is making the node right, and may be waiting for this service to be ready.
            if ready_by is not None and (unserved.kinds or not self._healer.report.waiting or now >= ready_by):
                ready_by = None
                _notify("READY=1")
            ends = [swept + self._sweep, now + self._healer.patience.next_try(now)]
            ends += [ready_by] if ready_by is not None else []
            ends += [now + (self._retry or BUSY)] if unserved.kinds else []
            heard = watch.wait(max(0.0, min(ends) - now))
            heard.merge(unserved)
            if _drained(wake) or now + self._healer.patience.next_try(now) <= time.monotonic():
                heard.add(EVERYTHING, "")

    def _look(self, heard: Changes) -> Changes:
        """Have the healer look; return what it could not look at, because somebody else is at it or it cannot be read."""
        try:
            with write_lock(wait=0):
                self._healer.look(heard)
        except Busy:
            self._retry = 0.0
            return heard
        except HomewardError as error:
            self._healer.complain(str(error))
            self._retry = min(LONGEST_RETRY, self._retry * 2 or FIRST_RETRY)
            return heard
        self._retry = 0.0
        return Changes()

    def _wake_on_signals(self) -> socket.socket:
        """Return a socket that can be read once a signal came; SIGTERM and SIGINT also stop the guard."""
        reading, self._writing = socket.socketpair()  # an end that nobody names would be closed
        reading.setblocking(False)
        self._writing.setblocking(False)
        signal.set_wakeup_fd(self._writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stop())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))  # as it was started
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._healer.forgive())
        return reading

    def _stop(self) -> None:
        self._stopping = True


def _drained(wake: socket.socket) -> bool:
    try:
        return bool(wake.recv(64))
    except BlockingIOError:
        return False


def _notify(message: str) -> None:
    """Tell systemd (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def _write_version(version: str) -> None:
    path = Path(VERSION_FILE)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(f"{version}\n", encoding="utf-8")
