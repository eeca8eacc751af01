# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base of the action plugins that change a cluster with kubectl, once for all hosts of a play."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, NodeError, refused
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.declared_pools import POOL_VARIABLES
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_cluster import ANSWER, prologue, why
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_nodes import Nodes, from_cluster
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import Sources, read_sources
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_metallb import PlayMetallb, cluster_answer

#: Together shorter than the longest argument of a program, 128 KiB (MAX_ARG_STRLEN of the kernel).
_COMMANDS_PER_SHELL = 20


class ClusterAction(ActionBase):
    """Base of the action plugins whose option ``sources`` is the value of ``metallb_routing_metallb``."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do it; an invalid input and a failure of kubectl end the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            self.sources = read_sources(self._task.args.get("sources"))
            self.reader = Reader(variables["hostvars"])
            return {**result, **self.act(variables)}
        except InputError as error:
            return {**result, **refused(error, {})}
        except NodeError as error:
            return {**result, "failed": True, "msg": str(error)}

    def act(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result; to be overridden."""
        raise NotImplementedError

    @property
    def pattern(self) -> Any:
        """The pattern of the cluster's nodes."""
        return self._task.args.get("nodes", "")

    def metallb(self, task_vars: Mapping[str, Any]) -> PlayMetallb:
        """Return MetalLB's resources for this play."""
        return PlayMetallb(self, task_vars, self._task.args.get("sources"), self.pattern)

    def pool_variables(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return the pools that the play declares, which the variables of hosts may not contain."""
        return {name: self._templar.template(task_vars[name]) for name in POOL_VARIABLES if name in task_vars}

    def nodes(self, task_vars: Mapping[str, Any], hosts: Sequence[str]) -> tuple[Nodes, dict[str, Mapping[str, str]]]:
        """Return the nodes of these hosts, and the labels of all nodes."""
        answer = cluster_answer(self.reader.raw(str(task_vars["inventory_hostname"]), ANSWER))
        labels = {str(node["name"]): node["labels"] for node in answer["nodes"]}
        return from_cluster(hosts, self.reader, answer["nodes"]), labels

    def kubectl(self, commands: Sequence[str]) -> str:
        """Run shell commands that use ``$kubectl``, up to the first that fails; return what they print.

        :raises NodeError: one fails.
        """
        return "".join(self._printed(self.sources, commands))

    def _printed(self, sources: Sources, commands: Sequence[str]) -> Iterator[str]:
        for start in range(0, len(commands), _COMMANDS_PER_SHELL):
            some = commands[start : start + _COMMANDS_PER_SHELL]
            script = prologue(sources) + "".join(f"{command} || exit\n" for command in some)
            done = self._low_level_execute_command(script, executable="/bin/sh")
            if done["rc"]:
                raise NodeError(f"kubectl failed: {why(done)}.")
            yield str(done["stdout"]).replace("\r\n", "\n")
