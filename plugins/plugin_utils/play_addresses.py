# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node addresses of a play, computed once for all its hosts.

Every host of a play needs the addresses of all, so computing them for each host would be quadratic. Tasks run in processes
that share nothing but files, and some strategies have no task that runs once, so the first process that needs the
addresses writes them to the directory of the run, which Ansible removes at the end.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import (
    ClusterAddresses,
    Reader,
    collect,
    loads,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import resolve


class PlayAddresses:
    """The addresses of the nodes that a pattern stands for, in the play of an action.

    :param pattern: see :func:`cluster_hosts.resolve`.
    """

    def __init__(self, action: ActionBase, task_vars: Mapping[str, Any], pattern: Any) -> None:
        self._task_vars = task_vars
        self._pattern = pattern
        play = action._task.get_play()  # noqa: SLF001 - what Ansible's own action plugins use
        key = json.dumps([str(play._uuid), pattern], default=str)  # noqa: SLF001 - the same for all batches of a play
        name = f"homeward-nodes-{sha256(key.encode()).hexdigest()[:32]}"
        self._file = Path(constants.DEFAULT_LOCAL_TMP, name)

    def for_module(self) -> str:
        """Return the option ``nodes`` of pool_routing.

        :raises InputError: the pattern is invalid, or matches no host.
        """
        return self._read(".module")

    def addresses(self) -> ClusterAddresses:
        """Return the addresses with their sources.

        :raises InputError: the pattern is invalid, or matches no host.
        """
        return loads(self._read(".json"))

    def _read(self, suffix: str) -> str:
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._file.with_suffix(".json").exists():
                self._write()
        return self._file.with_suffix(suffix).read_text(encoding="utf-8")

    def _write(self) -> None:
        played: Sequence[str] = self._task_vars.get("ansible_play_hosts_all", ())
        hosts = resolve(self._pattern, self._task_vars["groups"], played)
        found = collect(hosts, Reader(self._task_vars["hostvars"]), set(played))
        for warning in found.warnings:
            Display().warning(warning)
        for suffix, text in ((".module", found.for_module()), (".json", found.dumps())):
            part = self._file.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.rename(self._file.with_suffix(suffix))
