# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the chains in a thread of its own: a program of iptables that fails or never ends must not stop anything else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Optional, Union

from ..errors import HomewardError, NodeError, describe
from ..kernel.iptables import tables
from ..kernel.iptables.fingerprint import fingerprint
from ..kernel.iptables.tables import IptablesState
from ..kernel.netlink.events import CHAINS, EVERYTHING, Changes
from ..persistence.statefile import Saved
from ..retry import longer_retry
from ..state.chain import POOL_TABLES

#: What has been read, why that failed, or None: nothing has changed since the chains were as desired.
Outcome = Optional[Union[IptablesState, HomewardError]]
#: Why the chains are to be read, whether that is part of a check of everything, and for which state.
_Order = tuple[Changes, bool, Saved]


@dataclass(frozen=True)
class ChainReading:
    """The chains as read once.

    :param changes: why they were read.
    :param complete: whether this is part of a check of everything.
    :param saved: the state of that time; the finding is stale once there is another.
    :param fingerprint: of the tables before they were read; None if there is none.
    """

    changes: Changes
    complete: bool
    saved: Saved
    outcome: Outcome
    fingerprint: bytes | None = None


class ChainCheck:
    """Which read of the chains is requested, in progress, and finished.

    :param wake: is called from another thread when something has been read.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._requested = Changes()
        self._complete = False
        self._reading = False
        self._result: ChainReading | None = None
        self._retry = 0.0
        self._retry_at = 0.0
        self._right: tuple[Saved, bytes | None] | None = None
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._order: _Order | None = None
        self._aborted = False
        # One for all reads: where memory is short, the start of a thread can hang (Thread.start waits for its first steps).
        threading.Thread(target=self._work, name="chains", daemon=True).start()

    @property
    def pending(self) -> bool:
        """Whether the chains are not known as of the last change."""
        return bool(self._requested.kinds) or self._reading

    def take_from(self, changes: Changes) -> Changes:
        """Take over what concerns the chains; return the rest."""
        if not changes.kinds & CHAINS:
            return changes
        self._complete |= changes.kinds >= EVERYTHING
        self.request(Changes(set(CHAINS), dict(changes.originators), changes.at))
        return Changes(changes.kinds - CHAINS, changes.originators, changes.at)

    def request(self, changes: Changes) -> None:
        """Have the chains read once more."""
        changes.merge(self._requested)
        self._requested = changes

    def start(self, saved: Saved) -> None:
        """Start to read, if a read is requested and due."""
        if not self._requested.kinds or self._reading or time.monotonic() < self._retry_at:
            return
        self._order = (self._requested, self._complete, saved)
        self._requested, self._complete, self._reading = Changes(), False, True
        self._orders.put(self._order)

    def _work(self) -> None:
        while True:
            order = self._orders.get()
            try:
                self._result = self._read(*order)
            except BaseException:  # noqa: BLE001 - there may be no memory even to describe it; reading goes on
                self._aborted = True
            with suppress(BaseException):  # the main thread looks often enough
                self._wake()

    def _read(self, changes: Changes, complete: bool, saved: Saved) -> ChainReading:  # noqa: FBT001 - of an order
        outcome: Outcome
        # An event may be about what has no rules, such as a new chain, and nothing must delay what it leads to.
        now = None if changes.at else fingerprint(saved.variant, POOL_TABLES)
        right = self._right
        try:
            unchanged = now is not None and right is not None and right[0] is saved and right[1] == now
            outcome = None if unchanged else tables.read(saved.variant, saved.ownership, POOL_TABLES)
        except HomewardError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - a bug must be reported
            outcome = NodeError(describe(error))
        return ChainReading(changes, complete, saved, outcome, now)

    def result(self) -> ChainReading | None:
        """Return what has been read since the last call, if anything; after a failure, read again later."""
        if self._aborted and self._order is not None:
            self._aborted = False
            self._result = ChainReading(*self._order, NodeError("there was no memory to read the chains"))
        found, self._result = self._result, None
        if found is None:
            return None
        self._reading = False
        if isinstance(found.outcome, HomewardError):
            self.failed(found)
        else:
            self._retry = self._retry_at = 0.0
        return found

    def judge(self, found: ChainReading, right: bool | None) -> None:  # noqa: FBT001 - a result
        """Note whether the chains of the finding were as desired; while the tables do not change, they need not be read again.

        :param right: None if the finding is stale: then read again.
        """
        known = found.fingerprint is not None and right
        self._right = (found.saved, found.fingerprint) if known else None
        if right is None:
            self.again(found)

    def may_have_changed(self, saved: Saved) -> bool:
        """Whether the tables have changed without an event since the chains were as desired, or it is not known that they were.

        They are not known to be right where they have just been reconciled.
        """
        if saved.variant == "nft" or self.pending:
            return False
        if self._right is None or self._right[0] is not saved:
            return True
        return fingerprint(saved.variant, POOL_TABLES) not in (None, self._right[1])

    def keep(self, found: ChainReading) -> None:
        """Return the finding once more: it could not be used yet."""
        self._result = found

    def again(self, found: ChainReading) -> None:
        """Read again: the finding is stale."""
        self._complete |= found.complete
        self.request(found.changes)

    def failed(self, found: ChainReading) -> None:
        """Read again later: the chains could not be read or reconciled."""
        self._retry = longer_retry(self._retry)
        self._retry_at = time.monotonic() + self._retry
        self.again(found)

    def next_try(self, now: float) -> float:
        """Return the seconds until :meth:`start` has something to do; infinite if only :attr:`pending` can change that."""
        return max(0.0, self._retry_at - now) if self._requested.kinds and not self._reading else float("inf")
