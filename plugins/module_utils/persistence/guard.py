# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service that puts back what is ours when something takes it: listens, looks, and does the steps that the plan says."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import HomewardError, NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.events import (
    CHAINS,
    NETLINK,
    Heard,
    Interests,
    Watch,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.lock import Busy, write_lock
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import load_formats
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.pyroute2_gate import find_pyroute2
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.reader import Scope, read_node
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.writer import write_steps
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.patience import Patience
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.places import (
    STATE_FILE,
    VERSION_FILE,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.reach import within_reach
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.report import Report
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import (
    Saved,
    changed_at,
    dumps,
    load,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.plan import Plan, make_plan
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning.step import Step, StepsFailed
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import NodeState

SWEEP = 30.0  # seconds between two looks at everything, for what changes without an event
BUSY = 0.05  # seconds until the next try where another run holds the lock
PATIENCE_AT_START = 10.0  # seconds that the boot waits at most for links to appear
EVERYTHING = NETLINK | CHAINS


class Guard:
    """Keeps the declared state true until it is told to stop."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._report = Report(started=time.time())
        self._patience = Patience()
        self._seen = (0, 0)
        self._saved: Saved | None = None
        self._said: set[str] = set()
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM; SIGHUP makes it look at everything.

        :raises NodeError: there is no usable state file at the start.
        """
        self._load()
        wake = _wake_on_signals(self._stop)
        watch = Watch(load_formats(find_pyroute2(self._require().pyroute2_path)))
        watch.register(wake.fileno())
        _write_version(self._version)
        try:
            self._serve(watch, wake)
        finally:
            watch.close()

    def _serve(self, watch: Watch, wake: socket.socket) -> None:
        ready_by = time.monotonic() + PATIENCE_AT_START
        ready = False
        swept = float("-inf")
        heard = Heard(kinds=set(EVERYTHING), at=time.monotonic())
        while not self._stopping:
            if time.monotonic() - swept >= SWEEP:
                heard.kinds |= EVERYTHING
            looked = not heard.kinds or self._look(frozenset(heard.kinds), heard)
            now = time.monotonic()
            if looked and heard.kinds >= EVERYTHING:
                swept = now
            # Whoever holds the lock is making the node right, and may be waiting for this service to be ready.
            if not ready and (not looked or not self._report.waiting or now >= ready_by):
                ready = True
                _notify("READY=1")
            unfinished = Heard() if looked else heard
            heard = watch.wait(self._pause(now, swept, None if ready else ready_by, looked=looked), self._interests())
            heard.kinds |= unfinished.kinds
            heard.at = unfinished.at or heard.at
            if _drained(wake) or self._patience.next_try(now) <= time.monotonic() - now:
                heard.add(EVERYTHING, "")

    def _pause(self, now: float, swept: float, ready_by: float | None, *, looked: bool) -> float:
        """Return for how many seconds to listen before there is something to do without an event."""
        ends = [SWEEP - (now - swept), self._patience.next_try(now)]
        ends += [ready_by - now] if ready_by is not None else []
        ends += [] if looked else [BUSY]
        return max(0.0, min(ends))

    def _look(self, kinds: frozenset[str], heard: Heard) -> bool:
        """Compare what is declared with what is there, and put back what is missing; False if somebody else is at it."""
        try:
            with write_lock(wait=0):
                self._load()
                self._heal(kinds, heard)
            self._report.trouble = ""
        except Busy:
            return False
        except HomewardError as error:
            self._say(str(error))
            self._report.trouble = str(error)
        self._report.checked = time.time()
        self._report.write(self._require().metrics_directory)
        return True

    def _heal(self, kinds: frozenset[str], heard: Heard) -> None:
        saved = self._require()
        scope = Scope(saved.ownership, saved.variant, _setting_names(saved.state), kinds=kinds)
        node = read_node(scope, saved.pyroute2_path)
        wanted = NodeState(**{kind: getattr(saved.state, kind) for kind in kinds})
        reach = within_reach(wanted, node)
        if kinds >= NETLINK:
            self._report.waiting = list(reach.waiting)
            for sentence in reach.waiting:
                self._say(sentence)
        plan = make_plan(reach.state, node)
        now = time.monotonic()
        allowed = [step for step in plan.steps if self._patience.may(_thing(step), now)]
        done = self._do(allowed, saved)
        self._remember(done, heard)
        self._report.drift = len(plan.steps) - len(done)
        if not plan.steps and kinds == EVERYTHING:
            self._report.left_alone = []

    def _do(self, steps: list[Step], saved: Saved) -> list[Step]:
        """Carry out what can be; a step that fails does not keep the others from being done."""
        done: list[Step] = []
        rest = steps
        while rest:
            try:
                write_steps(rest, saved.ownership, saved.pyroute2_path)
            except StepsFailed as failure:
                done += failure.done
                self._say(f"{failure.failed}: {failure.reason}")
                self._report.trouble = str(failure)
                self._patience.note(_thing(failure.failed), time.monotonic())
                gone = {*failure.done, failure.failed}
                rest = [step for step in rest if step not in gone]
            else:
                return [*done, *rest]
        return done

    def _remember(self, steps: Iterable[Step], heard: Heard) -> None:
        now = time.monotonic()
        who = ", ".join(heard.actors)
        for step in steps:
            took = (now - heard.at) * 1000 if heard.at else 0.0
            self._report.note(time.time(), step.kind, str(step), who, took)
            print(f"put back: {step}{f' (changed by {who})' if who else ''}", flush=True)
            delay = self._patience.note(_thing(step), now)
            if delay:
                sentence = f"{step.kind} {step.subject} keeps being undone{f' by {who}' if who else ''}"
                self._report.left_alone = [*self._report.left_alone, sentence][-20:]
                print(f"{sentence}; left alone for {delay:.0f} s", flush=True)

    def _load(self) -> None:
        """Read the state file if it was written anew.

        :raises NodeError: it is not usable. What was known before stays known, and nothing is changed by it.
        """
        seen = changed_at(STATE_FILE)
        if seen == self._seen and self._saved is not None:
            return
        saved = load(STATE_FILE)
        self._saved, self._seen = saved, seen
        self._patience = Patience()
        self._report.state_hash = sha256(dumps(saved).encode()).hexdigest()[:16]

    def _require(self) -> Saved:
        if self._saved is None:
            raise NodeError(f"{STATE_FILE} has not been read.")
        return self._saved

    def _interests(self) -> Interests:
        state = self._require().state
        interfaces = {route.interface for route in state.routes} | {rule.iif for rule in state.rules}
        interfaces |= {address.interface for address in state.addresses} | {item.interface for item in state.sysctls}
        interfaces |= {name for link in state.links for name in (link.name, link.parent)}
        return Interests(
            self._require().ownership.protocol,
            frozenset(interfaces - {""}),
            frozenset(route.table for route in state.routes),
            frozenset(chain.table for chains in state.chains for chain in chains.chains),
        )

    def _say(self, sentence: str) -> None:
        """Print a sentence once for each time that it becomes true."""
        if sentence not in self._said:
            print(sentence, flush=True)
        self._said = {*list(self._said)[-50:], sentence}

    def _stop(self) -> None:
        self._stopping = True


def restore() -> Plan:
    """Make the node as the state file says, once, and return what had to be done.

    :raises HomewardError: it could not be done; the message says why.
    """
    saved = load(STATE_FILE)
    with write_lock():
        scope = Scope(saved.ownership, saved.variant, _setting_names(saved.state), kinds=EVERYTHING)
        node = read_node(scope, saved.pyroute2_path)
        reach = within_reach(saved.state, node)
        plan = make_plan(reach.state, node)
        write_steps(plan.steps, saved.ownership, saved.pyroute2_path)
    return replace(plan, satisfied=(*plan.satisfied, *reach.waiting))


def _setting_names(state: NodeState) -> tuple[str, ...]:
    return tuple(item.name for item in state.sysctls)


def _thing(step: Step) -> Hashable:
    return (step.kind, step.subject.key)


def _wake_on_signals(stop: Callable[[], None]) -> socket.socket:
    """Return a socket that can be read once a signal came; SIGTERM and SIGINT also stop the guard."""
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno())
    _kept.append(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    return reading


_kept: list[socket.socket] = []  # a socket that nobody names would be closed


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
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(f"{version}\n", encoding="utf-8")
