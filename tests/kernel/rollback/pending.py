# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that wait for their confirmation: declarations, what is left of them on a node, and when their time is up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ansible_collections.homeward.metallb_routing.plugins.module_utils import rollback
from tests.lab.namespaces import processes_in
from tests.lab.waiting import wait_until
from tests.support.node import Node
from tests.support.pools import EXTERNAL, SECOND, STORAGE, declared

POOLS = "pool_routing"
SOON = {"confirm_timeout": 2}
LATER = {"confirm_timeout": 60}  # for changes that get confirmed, however slow the machine is
FIRST = declared(EXTERNAL, STORAGE)
CHANGED = declared({**EXTERNAL, "gateways": ["1.2.3.2", "fd00:1:2:3::2"]}, SECOND)


def pending_processes(node: Node) -> list[int]:
    """Return the background processes that will roll a change back."""
    return [pid for pid in processes_in([node.name]) if pid != node.host.holder]


def until_none_pending(node: Node) -> None:
    wait_until(
        lambda: not pending_processes(node),
        lambda: f"no process waits for a confirmation, but {pending_processes(node)}",
        seconds=120.0,  # a rollback that failed is tried again after up to 30 s
    )


def markers(node: Node, state: str = "unconfirmed") -> list[Path]:
    """Return the marker files of changes in this state."""
    return list(node.host.path("/run/homeward.metallb_routing").glob(f"{state}.*"))


TIME_IS_UP = f"/tmp/homeward-time-is-up-{os.getpid()}"  # noqa: S108 - outside of /run, which may be read-only


def wait_for_the_test() -> None:
    """Have the background process do nothing before :func:`let_time_run_out`, however slow the machine is."""
    wait_and_roll_back = rollback.wait_and_roll_back

    def wait(name: str, roll_back: rollback.RollBack) -> None:
        wait_until(Path(TIME_IS_UP).exists, "the time may run out", seconds=300.0)
        wait_and_roll_back(name, roll_back)

    rollback.wait_and_roll_back = wait


def time_is_up(node: Node) -> None:
    """Let the rollback of the pending change begin."""
    assert pending_processes(node), "no process waits for a confirmation"
    Path(TIME_IS_UP).touch()


def let_time_run_out(node: Node) -> None:
    """Let the pending change be rolled back, and wait until it has been."""
    time_is_up(node)
    until_none_pending(node)
    Path(TIME_IS_UP).unlink()


def waiting(*others: Callable[[], object]) -> Callable[[], None]:
    """Return a function that calls :func:`wait_for_the_test` and these."""

    def arm() -> None:
        wait_for_the_test()
        for other in others:
            other()

    return arm
