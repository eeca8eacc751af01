# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile the node with its state file at every change."""

# pylint: disable=ansible-bad-function  # a service prints to the journal

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from ..errors import HomewardError, NodeError, describe
from ..kernel import sysctls
from ..kernel.iptables.tables import IptablesState
from ..kernel.netlink.event_filter import EventFilter
from ..kernel.netlink.events import CHAINS, NETLINK, Changes
from ..kernel.writer import write_steps
from ..paths import STATE_FILE
from ..persistence.statefile import Saved, changed_at, dumps
from ..state import Node, Route, Sysctl
from ..state.kinds import BY_NAME, SAVED
from ..state.route import MAIN_TABLE
from ..state.step import Step, StepsFailed
from .backoff import Backoff
from .chain_check import ChainReading
from .drift import Drift
from .groups import GroupKeeper
from .once import load_state, read_drift
from .report import Report
from .routing_check import Findings, find_wrong_routes

_Key = tuple[str, Hashable]  # kind and key of an object


class Reconciler:
    """Finds drift and reconciles it, with the memory that this needs: the state file, backoff, and what was reported."""

    def __init__(self) -> None:
        self.report = Report(started=time.time())
        self.backoff = Backoff()
        self.event_filter = EventFilter(0)
        self._file_version = (0, 0)
        self._saved: Saved | None = None
        self._remaining: tuple[Step, ...] = ()  # known drift that is not reconciled
        self._originators: dict[_Key, str] = {}  # who changed an object last
        self._contested: dict[_Key, str] = {}  # the sentence about an object that keeps being changed
        self._failures: dict[_Key, str] = {}
        self._waiting: tuple[str, ...] = ()
        self._unreadable: tuple[str, ...] = ()
        self._state_problem = ""
        self._chain_problem = ""
        self._notes: tuple[str, ...] = ()
        self._groups = GroupKeeper()
        self._routes: frozenset[Route] = frozenset()  # foreign ones, as last read
        self._findings: Findings = ()

    def load(self) -> None:
        """Read the state file if it has changed.

        :raises NodeError: it is unusable; the previous state stays in effect.
        """
        version = changed_at(STATE_FILE)
        if version == self._file_version and self._saved is not None:
            return
        saved = load_state()
        self._saved, self._file_version = saved, version
        self.event_filter = _event_filter(saved)
        self.report.state_hash = sha256(dumps(saved).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.reset_backoff()

    def reset_backoff(self) -> None:
        """Forget how often each object was reconciled, and by whom it was changed."""
        self.backoff = Backoff()
        self._contested = {}
        self._originators = {}

    def reconcile(self, changes: Changes) -> None:
        """Reconcile the kinds that may have changed. Call it with the lock held.

        :raises HomewardError: the node cannot be read.
        """
        self._load_again()
        self._reconcile_kinds(changes)
        self._publish_problems()

    def reconcile_chains(self, found: ChainReading) -> bool | None:
        """Reconcile the chains that have been read. Call it with the lock held.

        :return: whether they were as desired; None if the finding is stale.
        :raises HomewardError: it is unknown what took effect.
        """
        self._load_again()
        if found.saved is not self._saved or isinstance(found.outcome, HomewardError):
            return None
        right = True
        if found.outcome is not None:
            self._chain_problem = ""
            drift = self._reconcile_kinds(found.changes, found.outcome)
            right = not drift.steps and not drift.unreadable
        if found.complete:
            self.report.checked = time.time()
        self._publish_problems()
        return right

    def settings_differ(self) -> bool:
        """Whether a kernel setting differs from the desired state; most settings change without an event."""
        desired = {item.name: item.value for item in self._loaded().state.sysctls}
        try:
            return any(desired[name].split() != value.split() for name, value in sysctls.read(desired).items())
        except HomewardError:
            return True  # reconciling reports it

    def check_speaker(self, *, complete: bool) -> None:
        """Look at what MetalLB's speaker does on the pools' links, and report what is wrong. The lock is not needed.

        :param complete: whether this is part of a check of everything.
        """
        saved, groups, report = self._loaded(), self._groups, self.report
        groups.check({str(case["interface"]) for case in saved.cases}, complete=complete)
        found = (groups.notes, groups.held, groups.missing)
        if found == (report.speaker, report.groups_held, report.speaker_missing):
            return
        for sentence in groups.notes:
            if sentence not in report.speaker:
                print(sentence, flush=True)
        report.speaker, report.groups_held, report.speaker_missing = found
        report.write(saved.metrics_directory)

    def report_unreadable_chains(self, error: HomewardError) -> None:
        """Report why the chains could not be read; everything else is reconciled."""
        self._chain_problem = str(error)
        self._set_waiting(self._waiting, (f"chains wait: {describe(error)}",))
        self._publish_problems()

    def report_problem(self, problem: str) -> None:
        """Report why the node could not be checked."""
        self._publish(problem)

    @property
    def saved(self) -> Saved:
        """The state in effect."""
        return self._loaded()

    def _load_again(self) -> None:
        self._state_problem = ""
        try:
            self.load()
        except NodeError as error:
            self._state_problem = f"{error} Until then, the previous state stays in effect."

    def _publish_problems(self) -> None:
        self._publish(" ".join((self._state_problem, self._chain_problem, *self._failures.values())).strip())

    def _reconcile_kinds(self, changes: Changes, iptables: IptablesState | None = None) -> Drift:
        saved = self._loaded()
        kinds = frozenset(changes.kinds)
        # Routes have events, so a check without one only makes sure that they are there.
        drift, node = read_drift(saved, kinds, iptables, only_present=not changes.at)
        self._report_waiting(kinds, drift)
        self._print_notes(kinds, drift)
        self._report_findings(kinds, drift, node, only_present=not changes.at)
        if changes.originators:
            self._originators.update((_key(step), ", ".join(changes.originators)) for step in drift.steps)
        now = time.monotonic()
        allowed = [step for step in drift.steps if self.backoff.allows(_key(step), now)]
        done = self._write(allowed, saved)
        self._record(done, changes)
        not_done = tuple(step for step in drift.steps if step not in done)
        unchecked = (step for step in self._remaining if BY_NAME[step.kind].plural not in kinds)
        self._remaining = (*unchecked, *not_done)
        keys = dict.fromkeys(_key(step) for step in self._remaining)
        self._failures = {key: sentence for key, sentence in self._failures.items() if key in keys}
        self.report.drift = len(self._remaining)
        self.report.backing_off = [self._contested[key] for key in keys if key in self._contested]
        return drift

    def _report_waiting(self, kinds: frozenset[str], drift: Drift) -> None:
        """Report what waits, and print it when it starts to; what was not checked still waits."""
        waiting = drift.waiting if kinds >= NETLINK else self._waiting
        self._set_waiting(waiting, drift.unreadable if kinds >= CHAINS else self._unreadable)

    def _set_waiting(self, objects: tuple[str, ...], chains: tuple[str, ...]) -> None:
        self._waiting, self._unreadable = objects, chains
        waiting = [*objects, *chains]
        for sentence in waiting:
            if sentence not in self.report.waiting:
                print(sentence, flush=True)
        self.report.waiting = waiting

    def _print_notes(self, kinds: frozenset[str], drift: Drift) -> None:
        """Print what is new of that the node is not as declared."""
        if kinds >= NETLINK:
            for sentence in drift.notes:
                if sentence not in self._notes:
                    print(sentence, flush=True)
            self._notes = drift.notes

    def _report_findings(self, kinds: frozenset[str], drift: Drift, node: Node, *, only_present: bool) -> None:
        """Report what keeps pools from working, and print what is new of it; nothing is known while the node is not as desired."""
        if not kinds >= NETLINK:
            return
        if only_present and not drift.steps:
            node = replace(node, foreign_routes=node.foreign_routes | self._routes)
        elif not only_present:
            self._routes = node.foreign_routes
        found = find_wrong_routes(self._loaded(), drift, node)
        for one in found:
            if one not in self._findings:
                print(one, flush=True)
        self._findings = found
        self.report.findings = [one.as_json() for one in found]

    def _write(self, steps: Sequence[Step], saved: Saved) -> list[Step]:
        """Carry out the steps that can be carried out and return them; a failure does not block the others."""
        done: list[Step] = []
        remaining = list(steps)
        while remaining:
            try:
                write_steps(remaining, saved.ownership, saved.pyroute2_path)
            except StepsFailed as failure:
                if failure.unsure:
                    raise NodeError(f"{failure}. The next check finds out what took effect.") from failure
                done += failure.done
                key = _key(failure.failed)
                delay = self.backoff.failed(key, time.monotonic())
                self._failures[key] = f'"{failure.failed}" failed: {failure.reason}. Retrying in {delay:.0f} s.'
                tried = {*failure.done, failure.failed}
                remaining = [step for step in remaining if step not in tried]
            else:
                return [*done, *remaining]
        return done

    def _record(self, steps: Iterable[Step], changes: Changes) -> None:
        """Report reconciled objects, and count them for the backoff."""
        now = time.monotonic()
        milliseconds = (now - changes.at) * 1000 if changes.at else 0.0
        for step in steps:
            key = _key(step)
            vanished = _vanished_setting(step)
            if vanished:
                print(f"{vanished} no longer exists; its previous value is forgotten", flush=True)
                continue
            originator = self._originators.get(key, "")
            self.report.record(time.time(), step.kind, str(step), originator, milliseconds)
            print(f"reconciled: {step}{f' (changed by {originator})' if originator else ''}", flush=True)
            delay = self.backoff.reconciled(key, now)
            if delay:
                sentence = f"{step.kind} {step.subject} keeps being changed{f' by {originator}' if originator else ''}"
                self._contested[key] = sentence
                print(f"{sentence}; backing off for {delay:.0f} s", flush=True)
            else:
                self._originators.pop(key, None)  # the next change may be another process's, or the kernel's

    def _loaded(self) -> Saved:
        if self._saved is None:
            raise NodeError(f"{STATE_FILE} has not been read.")
        return self._saved

    def _publish(self, problem: str) -> None:
        """Write the report, and print the problem when it is new."""
        if problem and problem != self.report.problem:
            print(problem, flush=True)
        self.report.problem = problem
        self.report.write(self._loaded().metrics_directory)


def _vanished_setting(step: Step) -> str:
    """Return the setting whose previous value the step only forgot, because its link no longer exists; else ``""``."""
    subject = step.subject
    if step.after is not None or not isinstance(subject, Sysctl) or sysctls.read((subject.name,)):
        return ""
    return subject.name


def _event_filter(saved: Saved) -> EventFilter:
    """Return which events concern the desired state."""
    state = saved.state
    interfaces = {item.interface for kind in SAVED if kind.on_link for item in state.of(kind)}
    interfaces |= {rule.iif for rule in state.rules} | {
        name for link in state.links for name in (link.name, link.parent)
    }
    return EventFilter(
        saved.ownership.protocol,
        frozenset(interfaces - {""}),
        frozenset(route.table for route in state.routes),
        frozenset(route.destination for route in state.routes if route.table == MAIN_TABLE),
        frozenset(chain.table for chains in state.chains for chain in chains.chains),
        max((rule.priority for rule in state.rules), default=0),
    )


def _key(step: Step) -> _Key:
    return (step.kind, step.subject.key)
