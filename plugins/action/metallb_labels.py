# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of metallb_labels: sets and removes the labels that tell which nodes are ready for which pools."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import comma_separated
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_action import ClusterAction
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_labels import (
    Links,
    announce_again,
    check_links,
    commands,
    links_of_result,
    missing,
    pools_on_new_links,
    services_question,
    stale,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_links import play_links

_RESULT = "metallb_routing_result"
_PHASES = ("before", "after", "removal")


class ActionModule(ClusterAction):
    """Action plugin of the module metallb_labels."""

    _VALID_ARGS = frozenset({"sources", "nodes", "phase"})

    def act(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Change the labels of all nodes of the play."""
        phase = self._task.args.get("phase")
        if phase not in _PHASES:
            raise InputError("phase", f"{phase} is not a phase", f"Give one of {', '.join(_PHASES)}.")
        hosts: Sequence[str] = task_vars["ansible_play_hosts"]
        nodes, current = self.nodes(task_vars, hosts)
        desired = self._desired(phase, hosts, task_vars)
        by_node = {nodes.names[host]: links for host, links in desired.items() if host in nodes.names}
        if phase == "after":
            check_links(pair for links in by_node.values() for pair in links.items())
            changes = missing(current, by_node)
        else:
            changes = stale(current, by_node)
        scripts = list(commands(changes))
        again = self._announced_before(hosts, nodes.names, current) if phase == "after" else []
        if not self._task.check_mode:
            self.kubectl(scripts)
            if again:
                found = self.kubectl([services_question()])
                self.kubectl(list(announce_again(found, again, str(int(time.time())))))
        return {
            "changed": bool(changes or again),
            "labels": {node: list(words) for node, words in changes.items()},
            "announced_again": again,
            "warnings": list(nodes.warnings),
            "msg": f"labels of {comma_separated(changes)}" if changes else "nothing to change",
        }

    def _desired(self, phase: str, hosts: Sequence[str], task_vars: Mapping[str, Any]) -> dict[str, Links]:
        """Return the link of each pool on each host; hosts of which it is not known are missing, and keep their labels."""
        if phase == "removal":
            return {host: {} for host in hosts}
        if phase == "before":
            variables = self.pool_variables(task_vars)
            return play_links(hosts, self.reader, variables, self.metallb(task_vars))[0]
        results = {host: links_of_result(self.reader.raw(host, _RESULT)) for host in hosts}
        return {host: links for host, links in results.items() if links is not None}

    def _announced_before(
        self, hosts: Sequence[str], names: Mapping[str, str], current: Mapping[str, Mapping[str, str]]
    ) -> list[str]:
        """Return the pools that a speaker may have tried to announce before the run created the link."""
        pools = {
            pool
            for host in hosts
            if host in names
            for pool in pools_on_new_links(self.reader.raw(host, _RESULT), current.get(names[host], {}))
        }
        return sorted(pools)
