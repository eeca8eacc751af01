# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the node against its state file, or reconcile it, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..errors import HomewardError, NodeError, StepError, describe
from ..kernel.iptables import programs
from ..kernel.iptables.tables import IptablesState
from ..kernel.iptables.unlocked import chains_before_lock
from ..kernel.lock import write_lock
from ..kernel.netlink.events import CHAINS, NETLINK
from ..kernel.reader import Scope, read_node
from ..kernel.writer import write_steps
from ..paths import STATE_FILE
from ..persistence.statefile import Saved, load
from ..state import Node
from ..state.chain import POOL_TABLES
from ..state.step import Step, StepsFailed
from .drift import Drift, find_drift
from .routing_check import find_wrong_routes, needed_routes

ROUNDS = 5  # of a restore, at most: objects that depend on others may need another round


def load_state() -> Saved:
    """Return the content of the state file, and look for programs where the run has found them.

    :raises StateUnusable: it is unusable.
    """
    saved = load(STATE_FILE)
    programs.look_in(saved.program_directories)
    return saved


def restore() -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Reconcile the node once; return the steps that were carried out, and a sentence for each object that waits.

    The node is checked again after writing: a run that was killed may have left a program that was still writing.

    :raises HomewardError: it failed; the message says why.
    """
    saved = load_state()
    done: list[Step] = []
    waiting: tuple[str, ...] = ()
    for kinds in (NETLINK, CHAINS):  # the chains come last: a program may fail
        drift = Drift()
        for _round in range(ROUNDS):
            drift = _restore_once(saved, kinds)
            done += drift.steps
            if not drift.steps:
                break
        else:
            raise StepError(
                f'Something keeps changing the node: "{drift.steps[0]}" is still needed after {ROUNDS} rounds.'
                ' While the agent runs, "metallb-routing status" shows which process.'
            )
        waiting += drift.waiting
    return tuple(done), waiting


def _restore_once(saved: Saved, kinds: frozenset[str]) -> Drift:
    """Find the drift of some kinds and reconcile it. The lock is not held while a program reads."""
    with (
        chains_before_lock(write_lock, saved.variant, saved.ownership, POOL_TABLES)
        if kinds == CHAINS
        else _lock_without_chains()
    ) as iptables:
        drift, _node = read_drift(saved, kinds, iptables)
        if drift.unreadable:
            raise NodeError(f"{'; '.join(drift.unreadable)}. Move those rules to a separate table, and run again.")
        try:
            write_steps(drift.steps, saved.ownership, saved.pyroute2_path)
        except StepsFailed as failure:
            message = f'"{failure.failed}" failed: {failure.reason}. Fix the cause and run again.'
            raise StepError(message) from failure
    return drift


@contextmanager
def _lock_without_chains() -> Iterator[None]:
    with write_lock():
        yield None


def check() -> tuple[Saved, Drift]:
    """Return the desired state and how the node differs from it; changes nothing.

    :raises HomewardError: the state file or the node cannot be read.
    """
    saved = load_state()
    drift, node = read_drift(saved, NETLINK)
    try:
        chains, _node = read_drift(saved, CHAINS)
    except HomewardError as error:
        chains = Drift(unreadable=(f"chains wait: {describe(error)}",))
    both = Drift((*drift.steps, *chains.steps), (*drift.waiting, *chains.waiting), chains.unreadable, drift.notes)
    return saved, replace(both, findings=find_wrong_routes(saved, drift, node))


def read_drift(
    saved: Saved, kinds: frozenset[str], iptables: IptablesState | None = None, *, only_present: bool = False
) -> tuple[Drift, Node]:
    """Return the drift of some kinds, and what was read of the node.

    :param iptables: the chains, if they have been read already.
    :param only_present: of routes, make sure that the desired ones are there, and look at the others only if one is not.
    """
    names = tuple(item.name for item in saved.state.sysctls)
    scope = Scope(
        saved.ownership,
        saved.variant,
        names,
        kinds=kinds,
        routes=needed_routes(saved.state),
        present=saved.state.routes if only_present else None,
        tables=POOL_TABLES,
        facts=False,
    )
    node = read_node(scope, saved.pyroute2_path, iptables)
    return find_drift(saved.state.only(kinds), node), node
