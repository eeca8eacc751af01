# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that waits for its confirmation, as files in /run from which another process commits it or rolls it back.

What survives a reboot is changed by the commit: a node that reboots before the confirmation comes up in the state before. The
rollback is a transient timer of systemd, which outlives the control group of the connection. Its clock is monotonic.
"""

from __future__ import annotations

import os
import pickle  # see load_change
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import NodeError
from ..kernel import systemd
from ..kernel.reader import Scope
from ..paths import (
    CHANGE_INCOMPLETE,
    CHANGE_SCRIPT,
    COMMAND,
    FORMATS_FILE,
    PROTOCOL_FILE,
    RUNTIME,
    SHORT_COMMAND,
    STATE_FILE,
    UNIT_FILE,
)
from ..state import File, Node, NodeState, Unit
from ..state.kinds import UNIT
from ..state.step import Step
from . import launcher, network_managers
from .deploy import Program

_TIMER = "homeward-metallb-routing-rollback-{}"
_CHANGE, _PROGRAM, _TABLES = "change", "program.zip", "netlink.json"
_OF_BOOT = frozenset({STATE_FILE, RUNTIME, COMMAND, SHORT_COMMAND, UNIT_FILE, FORMATS_FILE, PROTOCOL_FILE})


@dataclass(frozen=True)
class Change:
    """What another process needs to know of a change.

    :param checkpoint: the managed state of the node before it.
    :param later: the steps that the commit carries out.
    :param tables: file with what it needs of pyroute2.
    """

    checkpoint: NodeState
    scope: Scope
    later: tuple[Step, ...]
    tables: str = ""


def split(steps: Sequence[Step], node: Node) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return the steps to carry out at once, and those of the commit: all that the next boot reads.

    Files that network managers must have before a link exists are written at once, and deleted by the commit. A running agent
    is stopped for the time between, as it would reconcile the node to the former state.
    """
    if not any(_is_state(step) for step in steps):
        return tuple(steps), ()
    later = tuple(step for step in steps if _is_later(step))
    now = tuple(step for step in steps if not _is_later(step))
    running = next((unit for unit in node.managed.units if unit.running), None)
    if running is None:
        return now, later
    stopped = replace(running, running=False)
    units = [step for step in later if step.kind == UNIT.name]
    start = Step(UNIT.name, stopped, units[0].after if units else running)
    others = tuple(step for step in later if step.kind != UNIT.name)
    removal = start.after is None
    return (Step(UNIT.name, running, stopped), *now), ((start, *others) if removal else (*others, start))


def _is_state(step: Step) -> bool:
    return isinstance(step.subject, Unit) or (isinstance(step.subject, File) and step.subject.path == STATE_FILE)


def _is_later(step: Step) -> bool:
    subject = step.subject
    if isinstance(subject, File):
        return subject.path in _OF_BOOT or (step.after is None and subject.path in network_managers.FILES)
    return isinstance(subject, Unit)


def prepare(change: Change, program: Program, folder: Path, name: str, seconds: int) -> bool:
    """Write what another process needs, and have systemd start the rollback after this time; return whether it will.

    :param folder: is created.
    :raises OSError: the files cannot be written.
    """
    folder.mkdir(mode=0o700)
    files = {
        _PROGRAM: program.archive().content.encode("utf-8", "surrogateescape"),
        _TABLES: program.tables.content.encode(),
        CHANGE_SCRIPT: launcher.text(str(folder / _PROGRAM)).encode(),
        _CHANGE: pickle.dumps(replace(change, tables=str(folder / _TABLES))),
        **({CHANGE_INCOMPLETE: b""} if change.later else {}),
    }
    for file, content in files.items():
        (folder / file).write_bytes(content)
    script = str(folder / CHANGE_SCRIPT)  # is gone if another run has decided
    command = ("/bin/sh", "-c", '[ ! -e "$0" ] || exec /bin/sh "$0" rollback "$1"', script, name)
    return systemd.start_timer(_TIMER.format(name), seconds, command)


def load_change(folder: Path) -> Change:
    """Return the change in this folder, which only root can have written: its program runs from there, too.

    :raises NodeError: there is none.
    """
    try:
        if folder.stat().st_uid != os.geteuid():
            raise NodeError(f"{folder} does not belong to this user.")
        change = pickle.loads((folder / _CHANGE).read_bytes())  # noqa: S301 - see above
    except (OSError, pickle.UnpicklingError, EOFError) as error:
        raise NodeError(f"The change in {folder} cannot be read: {error}.") from error
    if not isinstance(change, Change):
        raise NodeError(f"{folder} does not hold a change.")
    return change


def is_prepared(name: str) -> bool:
    """Whether systemd will roll back the change of this name, or is doing so."""
    return systemd.has_timer(_TIMER.format(name))


def forget_timers(names: Iterable[str]) -> None:
    """Stop the timers of changes that have been decided."""
    for name in names:
        systemd.stop_timer(_TIMER.format(name))
