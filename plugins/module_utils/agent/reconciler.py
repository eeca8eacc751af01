# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what is declared with what is there, and does the steps that the plan says: once, or again and again."""

# pylint: disable=ansible-bad-function  # a service speaks to the journal

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from hashlib import sha256

from ..errors import NodeError, StepError
from ..kernel.lock import write_lock
from ..kernel.netlink.events import CHAINS, EVERYTHING, NETLINK, Changes, EventFilter
from ..kernel.reader import Scope, read_node
from ..kernel.writer import write_steps
from ..paths import STATE_FILE
from ..persistence.statefile import Saved, changed_at, dumps, load
from ..state.kinds import BY_NAME
from ..state.route import MAIN_TABLE
from ..state.step import Step, StepsFailed
from .backoff import Patience
from .drift import Repair, plan_repair
from .report import Report

ROUNDS = 5  # looks that a restore takes at most; what stands on something else of ours comes in the next round


class Healer:
    """Knows the declared state, whom it is waiting for, and what it has told."""

    def __init__(self) -> None:
        self.report = Report(started=time.time())
        self.patience = Patience()
        self._seen = (0, 0)
        self._saved: Saved | None = None
        self._interests = EventFilter(0)
        self._open: tuple[Step, ...] = ()  # known to be missing and not put back
        self._culprits: dict[Hashable, str] = {}  # who took a thing last
        self._blamed: dict[Hashable, str] = {}
        self._failures: dict[Hashable, str] = {}
        self._waiting: tuple[str, ...] = ()
        self._hidden: tuple[str, ...] = ()

    def load(self) -> None:
        """Read the state file if it was written anew.

        :raises NodeError: it is not usable. What was known before stays known.
        """
        seen = changed_at(STATE_FILE)
        if seen == self._seen and self._saved is not None:
            return
        saved = load(STATE_FILE)
        self._saved, self._seen = saved, seen
        self._interests = _interests(saved)
        self.report.state_hash = sha256(dumps(saved).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.forgive()

    def interests(self) -> EventFilter:
        """Return what of the node's life concerns the declared state."""
        return self._interests

    def forgive(self) -> None:
        """Forget what was undone how often."""
        self.patience = Patience()
        self._blamed = {}
        self._culprits = {}

    def look(self, heard: Changes) -> None:
        """Look at the kinds that may have changed, and put back what is missing. Needs the lock.

        :raises HomewardError: the node cannot be read.
        """
        trouble = ""
        try:
            self.load()
        except NodeError as error:
            trouble = f"{error} Until then the state that was read before is kept."
        self._heal(heard)
        if heard.kinds >= EVERYTHING:
            self.report.checked = time.time()
        self._tell(" ".join((trouble, *self._failures.values())).strip())

    def complain(self, error: str) -> None:
        """Tell that the node could not be looked at."""
        self._tell(error)

    def _heal(self, heard: Changes) -> None:
        saved = self._require()
        kinds = frozenset(heard.kinds)
        repair = _find(saved, kinds)
        self._tell_waiting(kinds, repair)
        if heard.originators:
            self._culprits.update((_thing(step), ", ".join(heard.originators)) for step in repair.steps)
        now = time.monotonic()
        allowed = [step for step in repair.steps if self.patience.may(_thing(step), now)]
        done = self._do(allowed, saved)
        self._remember(done, heard)
        undone = tuple(step for step in repair.steps if step not in done)
        self._open = (*(step for step in self._open if _kind(step) not in kinds), *undone)
        things = {_thing(step) for step in self._open}
        self._failures = {thing: why for thing, why in self._failures.items() if thing in things}
        self.report.drift = len(self._open)
        self.report.left_alone = [self._blamed[_thing(step)] for step in self._open if _thing(step) in self._blamed]

    def _tell_waiting(self, kinds: frozenset[str], repair: Repair) -> None:
        """Report what waits, and print it when it begins to; what was not looked at waits on."""
        if kinds >= NETLINK:
            self._waiting = repair.waiting
        if kinds >= CHAINS:
            self._hidden = repair.hidden
        waiting = [*self._waiting, *self._hidden]
        for sentence in waiting:
            if sentence not in self.report.waiting:
                print(sentence, flush=True)
        self.report.waiting = waiting

    def _do(self, steps: Sequence[Step], saved: Saved) -> list[Step]:
        """Carry out what can be; a step that fails does not keep the others from being done."""
        done: list[Step] = []
        rest = list(steps)
        while rest:
            try:
                write_steps(rest, saved.ownership, saved.pyroute2_path)
            except StepsFailed as failure:
                if failure.unsure:
                    raise NodeError(f"{failure}. What of it took effect is found out at the next look.") from failure
                done += failure.done
                thing = _thing(failure.failed)
                delay = self.patience.refused(thing, time.monotonic())
                self._failures[thing] = (
                    f'"{failure.failed}" failed: {failure.reason}. The next try is in {delay:.0f} s.'
                )
                gone = {*failure.done, failure.failed}
                rest = [step for step in rest if step not in gone]
            else:
                return [*done, *rest]
        return done

    def _remember(self, steps: Iterable[Step], heard: Changes) -> None:
        now = time.monotonic()
        for step in steps:
            who = self._culprits.get(_thing(step), "")
            took = (now - heard.at) * 1000 if heard.at else 0.0
            self.report.note(time.time(), step.kind, str(step), who, took)
            print(f"put back: {step}{f' (changed by {who})' if who else ''}", flush=True)
            delay = self.patience.note(_thing(step), now)
            if delay:
                sentence = f"{step.kind} {step.subject} keeps being undone{f' by {who}' if who else ''}"
                self._blamed[_thing(step)] = sentence
                print(f"{sentence}; left alone for {delay:.0f} s", flush=True)
            else:
                self._culprits.pop(_thing(step), None)  # the next loss may be another's, or the kernel's own

    def _require(self) -> Saved:
        if self._saved is None:
            raise NodeError(f"{STATE_FILE} has not been read.")
        return self._saved

    def _tell(self, trouble: str) -> None:
        """Report, and print what is wrong once for each time that it becomes true."""
        if trouble and trouble != self.report.trouble:
            print(trouble, flush=True)
        self.report.trouble = trouble
        self.report.write(self._require().metrics_directory)


def restore() -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Make the node as the state file says; return what had to be done, and what cannot be had at present.

    It is looked at again after writing: a run that was killed may have left a program behind that was still writing.

    :raises HomewardError: it could not be done; the message says why.
    """
    done: list[Step] = []
    with write_lock():
        saved = load(STATE_FILE)
        repair = _find(saved, EVERYTHING)
        for _round in range(ROUNDS):
            if repair.hidden:
                raise NodeError(f"{'; '.join(repair.hidden)}. Move them there, and run again.")
            if not repair.steps:
                return tuple(done), repair.waiting
            try:
                write_steps(repair.steps, saved.ownership, saved.pyroute2_path)
            except StepsFailed as failure:
                raise StepError(f'"{failure.failed}" failed: {failure.reason}. Mend that, and run again.') from failure
            done += repair.steps
            repair = _find(saved, EVERYTHING)
    raise StepError(
        f'After {ROUNDS} rounds something still undoes what is put back, last: "{repair.steps[0]}".'
        ' See who does it in "metallb-routing status" while the guard runs.'
    )


def find() -> tuple[Saved, Repair]:
    """Return what is declared, and how the node differs from it; writes nothing.

    :raises HomewardError: the state file or the node cannot be read.
    """
    saved = load(STATE_FILE)
    return saved, _find(saved, EVERYTHING)


def _find(saved: Saved, kinds: frozenset[str]) -> Repair:
    names = tuple(item.name for item in saved.state.sysctls)
    scope = Scope(saved.ownership, saved.variant, names, kinds=kinds, foreign_routes_to=saved.state.routes)
    node = read_node(scope, saved.pyroute2_path)
    return plan_repair(saved.state.only(kinds), node)


def _interests(saved: Saved) -> EventFilter:
    state = saved.state
    interfaces = {route.interface for route in state.routes} | {rule.iif for rule in state.rules}
    interfaces |= {address.interface for address in state.addresses} | {item.interface for item in state.sysctls}
    interfaces |= {name for link in state.links for name in (link.name, link.parent)}
    return EventFilter(
        saved.ownership.protocol,
        frozenset(interfaces - {""}),
        frozenset(route.table for route in state.routes),
        frozenset(route.destination for route in state.routes if route.table == MAIN_TABLE),
        frozenset(chain.table for chains in state.chains for chain in chains.chains),
    )


def _thing(step: Step) -> tuple[str, Hashable]:
    return (step.kind, step.subject.key)


def _kind(step: Step) -> str:
    """Return the field of ``NodeState`` that a step is about."""
    return BY_NAME[step.kind].plural
