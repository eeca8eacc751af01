# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a change by a new connection to the node, before the node takes it back."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
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
    sign, confirmed, seconds = str(pending["path"]), str(pending["confirmed"]), int(pending["seconds"])
    deadline = time.monotonic() + seconds
    while True:
        try:
            problem = _confirm_by_new_connection(action, sign, confirmed)
            break
        except AnsibleConnectionFailure as error:
            problem = str(error)
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE)
    if problem:
        return {**result, "confirmed": False, "failed": True, "msg": _failure(seconds, problem)}
    with suppress(AnsibleConnectionFailure):  # the node forgets by itself too, only later
        _forget(action, confirmed)
    return {**result, "confirmed": True}


def _confirm_by_new_connection(action: ActionBase, sign: str, confirmed: str) -> str:
    """Rename the file that stands for the change; return why it was not there to be renamed, or ``""``.

    Where it has its new name already, the answer to an earlier try got lost, or another run has confirmed it.

    :raises AnsibleConnectionFailure: the node cannot be reached.
    """
    connection = action._connection  # noqa: SLF001 - what Ansible's own action plugins use
    if type(connection).reset is not ConnectionBase.reset:  # that one only warns
        connection.reset()
    old, new = shlex.quote(sign), shlex.quote(confirmed)
    done = action._low_level_execute_command(f"mv {old} {new} || [ -e {new} ]")  # noqa: SLF001
    return "" if done["rc"] == 0 else str(done["stderr"] or done["stdout"] or f"exit {done['rc']}").strip()


def _forget(action: ActionBase, confirmed: str) -> None:
    """Remove the file that tells that the change is confirmed: nobody has to ask for it again.

    :raises AnsibleConnectionFailure: the node cannot be reached.
    """
    file, folder = shlex.quote(confirmed), shlex.quote(str(PurePosixPath(confirmed).parent))
    # Other things may be remembered in the folder.
    action._low_level_execute_command(f"rm -f {file}; rmdir {folder} 2>/dev/null || true")  # noqa: SLF001


def _failure(seconds: int, problem: str) -> str:
    return (
        f"The change was made, but no new connection could confirm it within {seconds} s: {problem}."
        " The node takes the change back by itself, and tries until it is as before. Find out what of the change cut the connection"
        " (--check --diff shows all of it); on the node, journalctl -t metallb-routing tells when it was taken back."
    )
