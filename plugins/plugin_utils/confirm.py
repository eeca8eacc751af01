# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a change over a new connection to the node, before the node rolls it back."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

UNCONFIRMED = "unconfirmed"  # the module's result: rollback.PendingChange
_LATE = "it was not confirmed in time, and the node has rolled it back or is doing so"
_TOO_LATE = "the node answered only after that"
_DELAY = 1.0  # seconds between two tries
_ROLLBACK_SECONDS = 60.0  # seconds to wait after the deadline for a node that rolls back


def confirm(action: ActionBase, result: dict[str, Any], host: str = "") -> dict[str, Any]:
    """Return the module's result; with a pending change, confirm that first, and fail if that is impossible.

    Says what it waits for, and how long, if the node does not answer at once.

    :param host: the name of the node in messages.
    """
    pending = result.pop(UNCONFIRMED, None)
    if not pending:
        return result
    marker, confirmed, seconds = str(pending["path"]), str(pending["confirmed"]), int(pending["seconds"])
    command = _command(marker, confirmed, str(pending.get("commit") or ""))
    failures: list[str] = []
    try:
        problem = _run_until(time.monotonic() + seconds, action, command, failures, _Progress(host, seconds))
    except AnsibleConnectionFailure:
        problem = _LATE
    if problem:
        is_late = _LATE in problem
        if is_late:
            _say(
                host,
                f"not confirmed within {seconds} s; waiting up to {_ROLLBACK_SECONDS:.0f} s until the node has rolled back.",
            )
        text = (
            _cut_off(seconds, failures[-1] if failures else _TOO_LATE, rolled_back=_is_rolled_back(action, marker))
            if is_late
            else f"The change was applied, but the node did not confirm it: {problem.rstrip('.')}."
        )
        return {**result, "confirmed": False, "failed": True, "msg": text}
    with suppress(AnsibleConnectionFailure):  # the node also does it by itself, later
        _clean_up(action, confirmed)
    return {**result, "confirmed": True}


class _Progress:
    """Says once that a run waits for a new connection."""

    def __init__(self, host: str, seconds: int) -> None:
        self._host = host
        self._seconds = seconds
        self._said = False

    def failed(self, reason: str) -> None:
        """Take note of a failed try."""
        if not self._said:
            self._said = True
            text = f"waiting up to {self._seconds} s for a new connection, which confirms the change ({reason.rstrip('.')})."
            _say(self._host, text)


def _say(host: str, text: str) -> None:
    if "json" not in str(constants.DEFAULT_STDOUT_CALLBACK):  # a program reads the output
        Display().display(f"{host}: {text}" if host else text)


def _run_until(
    deadline: float, action: ActionBase, command: str, failures: list[str], progress: _Progress | None = None
) -> str:
    """Run the command over a new connection until the node answers; return its complaint, or ``""``.

    :param failures: receives the reason of each try that did not reach the node.
    :raises AnsibleConnectionFailure: the node did not answer in time.
    """
    while True:
        try:
            return _run_over_new_connection(action, command)
        except AnsibleConnectionFailure as error:
            failures.append(str(error))
            if progress:
                progress.failed(failures[-1])
            if time.monotonic() >= deadline:
                raise
        time.sleep(_DELAY)


def _is_rolled_back(action: ActionBase, marker: str) -> bool:
    """Wait until the node is reachable again and has rolled the change back; return whether that is so."""
    folder, _state, name = marker.rpartition("unconfirmed.")
    undecided, rolling = shlex.quote(marker), shlex.quote(f"{folder}rolling-back.{name}")
    command = f"if [ -e {undecided} ] || [ -e {rolling} ]; then echo pending; exit 1; fi"
    deadline = time.monotonic() + _ROLLBACK_SECONDS
    while time.monotonic() < deadline:
        with suppress(AnsibleConnectionFailure):
            if not _run_until(deadline, action, command, []):
                return True
        time.sleep(_DELAY)
    return False


def _command(marker: str, confirmed: str, commit: str) -> str:
    """Return the command that confirms a change: a script on the node, or renaming the marker file.

    If the file already has its new name, the reply to an earlier try got lost, or another run confirmed the change.
    """
    old, new = shlex.quote(marker), shlex.quote(confirmed)
    late = f"echo {shlex.quote(_LATE)} >&2; exit 1"
    confirming = commit or f"mv {old} {new}"
    return f"if [ -e {new} ]; then exit 0; elif [ -e {old} ]; then {confirming}; else {late}; fi"


def _run_over_new_connection(action: ActionBase, command: str) -> str:
    """Run the command; return why it failed, or ``""``.

    :raises AnsibleConnectionFailure: the node is unreachable.
    """
    connection = action._connection  # noqa: SLF001 - what Ansible's own action plugins use
    if type(connection).reset is not ConnectionBase.reset:  # that one only warns
        connection.reset()
    # Error output is left to the client of ssh, which writes its own messages there.
    done = action._low_level_execute_command(f"{{ {command}; }} 2>&1")  # noqa: SLF001
    return "" if done["rc"] == 0 else str(done["stdout"] or done["stderr"] or f"exit {done['rc']}").strip()


def _clean_up(action: ActionBase, confirmed: str) -> None:
    """Remove the files of a confirmed change: no further try follows.

    :raises AnsibleConnectionFailure: the node is unreachable.
    """
    path = PurePosixPath(confirmed)
    times = path.with_name(f"until.{path.name.partition('.')[2]}")
    file, other, directory = (shlex.quote(str(one)) for one in (path, times, path.parent))
    # The directory also holds original values of sysctls.
    action._low_level_execute_command(f"rm -f {file} {other}; rmdir {directory} 2>/dev/null || true")  # noqa: SLF001


def _cut_off(seconds: int, problem: str, *, rolled_back: bool) -> str:
    result = (
        "The node has rolled it back and is as before."
        if rolled_back
        else "The node rolls it back and retries until it is as before; it has not been reachable since."
    )
    return (
        f"The change was applied, but could not be confirmed over a new connection within {seconds} s: {problem.rstrip('.')}."
        f" {result} Find out which part of the change cut the connection (--check --diff shows all of it)."
        " On the node, journalctl -t metallb-routing shows when it was rolled back."
    )
