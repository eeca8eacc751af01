# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service: listen for changes, and have them reconciled."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from ..errors import HomewardError
from ..kernel.lock import Busy, write_lock
from ..kernel.netlink.events import CHAINS, EVERYTHING, NETLINK, Changes, EventMonitor
from ..paths import VERSION_FILE
from ..retry import longer_retry
from .chain_check import ChainCheck
from .reconciler import Reconciler
from .report import make_agent_directory

CHECK_INTERVAL = 30.0  # seconds between two checks of everything, in case an event was missed
POLL_INTERVAL = 3.0  # seconds between two looks at what changes without an event
LOCKED_DELAY = 0.05  # seconds until the next try while another run holds the lock
WATCHDOG_INTERVAL = 30.0  # seconds; the unit's WatchdogSec is a multiple
_READ = b"\0"  # the message that the chains have been read; a signal sends its number
READY_TIMEOUT = 10.0  # seconds for which the boot waits for links to appear


class Agent:
    """Reconciles the node until it is stopped.

    :param version: written to the version file.
    :param check_interval: seconds between two checks of everything.
    """

    def __init__(self, version: str, check_interval: float = CHECK_INTERVAL) -> None:
        self._version = version
        self._check_interval = check_interval
        self._reconciler = Reconciler()
        self._retry = 0.0  # seconds until the next try after a failure; 0 without one
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM; on SIGHUP check everything and reset the backoff.

        :raises NodeError: there is no usable state file at the start.
        """
        self._reconciler.load()
        wake = self._wake_on_signals()
        monitor = EventMonitor()
        monitor.register(wake.fileno())
        _write_version(self._version)
        try:
            self._serve(monitor, wake)
        finally:
            monitor.close()

    def _serve(self, monitor: EventMonitor, wake: socket.socket) -> None:
        chains = ChainCheck(self._wake_up)
        ready_by: float | None = time.monotonic() + READY_TIMEOUT
        checked = polled = float("-inf")
        changes = Changes(kinds=set(EVERYTHING), at=time.monotonic())
        while not self._stopping:
            monitor.set_filter(self._reconciler.event_filter)
            if time.monotonic() - checked >= self._check_interval:
                changes.kinds |= EVERYTHING
            if time.monotonic() - polled >= POLL_INTERVAL:
                changes.kinds |= self._changed_without_event(chains)
                polled = time.monotonic()
            complete = changes.kinds >= EVERYTHING
            changes = chains.take_from(changes)
            postponed = self._reconcile(changes) if changes.kinds else Changes()
            chains.start(self._reconciler.saved)
            locked = self._reconcile_chains(chains)
            self._reconciler.check_speaker(complete=complete)
            now = time.monotonic()
            if complete and not postponed.kinds:
                checked = now
            # A run that holds the lock makes the node as desired, and may be waiting for this service to be ready.
            is_done = not chains.pending and not self._reconciler.report.waiting
            if ready_by is not None and (postponed.kinds or locked or is_done or now >= ready_by):
                ready_by = None
                _notify("READY=1")
            if "WATCHDOG_USEC" in os.environ:
                _notify("WATCHDOG=1")
            deadlines = [
                checked + self._check_interval,
                polled + POLL_INTERVAL,
                now + self._reconciler.backoff.next_try(now),
            ]
            deadlines += [now + chains.next_try(now), now + WATCHDOG_INTERVAL]
            deadlines += [ready_by] if ready_by is not None else []
            deadlines += [now + (self._retry or LOCKED_DELAY)] if postponed.kinds or locked else []
            changes = monitor.wait(max(0.0, min(deadlines) - now))
            changes.merge(postponed)
            if _drain(wake) or now + self._reconciler.backoff.next_try(now) <= time.monotonic():
                changes.add(EVERYTHING, "")

    def _changed_without_event(self, chains: ChainCheck) -> frozenset[str]:
        """Return the kinds that may have changed although the kernel does not announce it."""
        found: frozenset[str] = NETLINK if self._reconciler.settings_differ() else frozenset()
        return found | CHAINS if chains.may_have_changed(self._reconciler.saved) else found

    def _reconcile_chains(self, chains: ChainCheck) -> bool:
        """Reconcile the chains that have been read; return whether that has to wait for the lock."""
        found = chains.result()
        if found is None:
            return False
        try:
            with write_lock(wait=0):
                if isinstance(found.outcome, HomewardError):
                    self._reconciler.report_unreadable_chains(found.outcome)
                else:
                    chains.judge(found, self._reconciler.reconcile_chains(found))
        except Busy:
            chains.keep(found)
            return True
        except HomewardError as error:
            self._reconciler.report_problem(str(error))
            chains.failed(found)
        return False

    def _wake_up(self) -> None:
        with suppress(OSError):  # it is full: whatever is in it wakes, too
            self._writing.send(_READ)

    def _reconcile(self, changes: Changes) -> Changes:
        """Reconcile; return the changes that are postponed because the node is locked or cannot be read."""
        try:
            with write_lock(wait=0):
                self._reconciler.reconcile(changes)
        except Busy:
            self._retry = 0.0
            return changes
        except (HomewardError, MemoryError) as error:
            # Where not even this works, the process ends, and the service manager starts another one.
            self._reconciler.report_problem(str(error) or "There is not enough memory to check the node.")
            self._retry = longer_retry(self._retry)
            return changes
        self._retry = 0.0
        return Changes()

    def _wake_on_signals(self) -> socket.socket:
        """Return a socket that becomes readable with a signal; SIGTERM and SIGINT also stop the agent."""
        reading, self._writing = socket.socketpair()  # an attribute, or this end would be closed
        reading.setblocking(False)
        self._writing.setblocking(False)
        signal.set_wakeup_fd(self._writing.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stop())
        # The process may have been started with these blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._reconciler.reset_backoff())
        return reading

    def _stop(self) -> None:
        self._stopping = True


def _drain(wake: socket.socket) -> bool:
    """Empty the socket; return whether there was a signal."""
    try:
        return bool(wake.recv(64).strip(_READ))
    except BlockingIOError:
        return False


def _notify(message: str) -> None:
    """Send a message to systemd (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def _write_version(version: str) -> None:
    path = Path(VERSION_FILE)
    make_agent_directory()
    path.write_text(f"{version}\n", encoding="utf-8")
    path.chmod(0o644)
