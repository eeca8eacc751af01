# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a change by a new connection to the node, before the node takes it back."""

from __future__ import annotations

import shlex
import time
from pathlib import PurePosixPath
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase

UNCONFIRMED = "unconfirmed"
_PAUSE = 1.0  # seconds between two tries


def confirm(action: ActionBase, result: dict[str, Any]) -> dict[str, Any]:
    """Return the module's result, confirmed if it tells of a change that has to be, and failed where that cannot be done."""
    pending = result.pop(UNCONFIRMED, None)
    if not pending:
        return result
    path, seconds = str(pending["path"]), int(pending["seconds"])
    deadline = time.monotonic() + seconds
    while True:
        try:
            problem = _remove_by_new_connection(action, path)
            break
        except AnsibleConnectionFailure as error:
            problem = str(error)
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE)
    if problem:
        return {**result, "confirmed": False, "failed": True, "msg": _failure(seconds, problem)}
    return {**result, "confirmed": True}


def _remove_by_new_connection(action: ActionBase, path: str) -> str:
    """Remove the file that stands for the change; return why it was not there to be removed, or ``""``.

    :raises AnsibleConnectionFailure: the node cannot be reached.
    """
    connection = action._connection  # noqa: SLF001 - what Ansible's own action plugins use
    if type(connection).reset is not ConnectionBase.reset:  # that one only warns
        connection.reset()
    file, folder = shlex.quote(path), shlex.quote(str(PurePosixPath(path).parent))
    command = f"rm {file} && {{ rmdir {folder} 2>/dev/null || true; }}"  # other things may be remembered there
    removed = action._low_level_execute_command(command)  # noqa: SLF001
    return "" if removed["rc"] == 0 else str(removed["stderr"] or removed["stdout"] or f"exit {removed['rc']}").strip()


def _failure(seconds: int, problem: str) -> str:
    return (
        f"The change was made, but no new connection could confirm it within {seconds} s: {problem}."
        " The node has taken the change back by itself, or is doing so now, and is as before it. Find out what of the change cut"
        " the connection (--check --diff shows all of it); on the node, journalctl -t metallb-routing tells when it was taken back."
    )
