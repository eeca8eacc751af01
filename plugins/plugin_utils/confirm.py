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

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase

UNCONFIRMED = "unconfirmed"  # the module's result: rollback.PendingChange
_DELAY = 1.0  # seconds between two tries


def confirm(action: ActionBase, result: dict[str, Any]) -> dict[str, Any]:
    """Return the module's result; with a pending change, confirm that first, and fail if that is impossible."""
    pending = result.pop(UNCONFIRMED, None)
    if not pending:
        return result
    marker, confirmed, seconds = str(pending["path"]), str(pending["confirmed"]), int(pending["seconds"])
    deadline = time.monotonic() + seconds
    while True:
        try:
            problem = _confirm_over_new_connection(action, marker, confirmed)
            break
        except AnsibleConnectionFailure as error:
            problem = str(error)
        if time.monotonic() >= deadline:
            break
        time.sleep(_DELAY)
    if problem:
        return {**result, "confirmed": False, "failed": True, "msg": _failure(seconds, problem)}
    with suppress(AnsibleConnectionFailure):  # the node also does it by itself, later
        _clean_up(action, confirmed)
    return {**result, "confirmed": True}


def _confirm_over_new_connection(action: ActionBase, marker: str, confirmed: str) -> str:
    """Rename the marker file of the change; return why that failed, or ``""``.

    If the file already has its new name, the reply to an earlier try got lost, or another run confirmed the change.

    :raises AnsibleConnectionFailure: the node is unreachable.
    """
    connection = action._connection  # noqa: SLF001 - what Ansible's own action plugins use
    if type(connection).reset is not ConnectionBase.reset:  # that one only warns
        connection.reset()
    old, new = shlex.quote(marker), shlex.quote(confirmed)
    done = action._low_level_execute_command(f"mv {old} {new} || [ -e {new} ]")  # noqa: SLF001
    return "" if done["rc"] == 0 else str(done["stderr"] or done["stdout"] or f"exit {done['rc']}").strip()


def _clean_up(action: ActionBase, confirmed: str) -> None:
    """Remove the marker file of a confirmed change: no further try follows.

    :raises AnsibleConnectionFailure: the node is unreachable.
    """
    file, directory = shlex.quote(confirmed), shlex.quote(str(PurePosixPath(confirmed).parent))
    # The directory also holds original values of sysctls.
    action._low_level_execute_command(f"rm -f {file}; rmdir {directory} 2>/dev/null || true")  # noqa: SLF001


def _failure(seconds: int, problem: str) -> str:
    return (
        f"The change was applied, but could not be confirmed over a new connection within {seconds} s: {problem}."
        " The node rolls it back and retries until it is as before. Find out which part of the change cut the connection"
        " (--check --diff shows all of it). On the node, journalctl -t metallb-routing shows when it was rolled back."
    )
