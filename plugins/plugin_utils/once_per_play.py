# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Computes a text once for all hosts of a play.

Tasks run in processes that share nothing but files, and some strategies have no task that runs once, so the first process
that needs the text writes it to the directory of the run, which Ansible removes at the end.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase


def once(action: ActionBase, key: Any, compute: Callable[[], str]) -> str:
    """Return the text that the first host of the play computed for this key.

    :param key: everything that the text depends on.
    """
    play = action._task.get_play()  # noqa: SLF001 - what Ansible's own action plugins use
    words = json.dumps([str(play._uuid), key], default=str, sort_keys=True)  # noqa: SLF001 - the same for all batches of a play
    file = Path(constants.DEFAULT_LOCAL_TMP, f"homeward-{sha256(words.encode()).hexdigest()[:32]}")
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            part = file.with_suffix(".part")
            part.write_text(compute(), encoding="utf-8")
            part.rename(file)
    return file.read_text(encoding="utf-8")
