# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MetalLB's resources in a play: read once, joined with the pools of each host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import resolve
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_announced import (
    Announced,
    evaluate,
    loads,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_cluster import ANSWER
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_join import (
    Joined,
    join,
    needs_resources,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_nodes import (
    Nodes,
    from_cluster,
    from_inventory,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import (
    KUBESPRAY_KEYS,
    OTHER_VARIABLES,
    VARIABLE,
    collect,
    read_sources,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.once_per_play import once


class PlayMetallb:
    """The resources for the hosts of a play.

    :param value: of ``metallb_routing_metallb``.
    :param pattern: of the cluster's nodes, see :func:`cluster_hosts.resolve`.
    :raises InputErrors: the value is invalid.
    """

    def __init__(self, action: ActionBase, task_vars: Mapping[str, Any], value: Any, pattern: Any) -> None:
        self._action = action
        self._task_vars = task_vars
        self._pattern = pattern
        self._sources = read_sources(value)
        self._announced: Announced | None = None

    def join(self, pools: Sequence[Any], host: str = "") -> Joined:
        """Return the pools of a host; unchanged if there is no source and they lack nothing.

        :param host: ``""`` is that of the task.
        :raises InputError: a source or a pool is invalid.
        """
        unchanged = Joined(list(pools), tuple(range(len(pools))))
        if not self._sources.are_given and not needs_resources(pools):
            return unchanged
        announced = self.announced()
        if not announced.sources:
            return unchanged  # the check of the pools reports what they lack
        return join(pools, announced, host or str(self._task_vars["inventory_hostname"]), self._sources.ignored_pools)

    def announced(self) -> Announced:
        """Return what MetalLB announces.

        :raises InputError: a source is missing or invalid.
        """
        if self._announced is None:
            others = {} if self._sources.are_given else {name: self._variable(name) for name in OTHER_VARIABLES}
            text = once(self._action, [self._sources, self._pattern, others], lambda: self._computed(others))
            self._announced = loads(text)
        return self._announced

    def _computed(self, others: Mapping[str, Any]) -> str:
        hosts, groups = self._hosts(), self._task_vars["groups"]
        reader = Reader(self._task_vars["hostvars"])
        answer = (
            cluster_answer(reader.raw(str(self._task_vars["inventory_hostname"]), ANSWER))
            if self._sources.cluster
            else None
        )
        resources, names = collect(self._sources, others, (answer or {}).get("resources"), self._folders())
        nodes: Nodes = from_cluster(hosts, reader, answer["nodes"]) if answer else from_inventory(hosts, reader, groups)
        found = evaluate(resources, names, nodes.hosts, nodes.outside)
        return replace(found, warnings=(*found.warnings, *nodes.warnings)).dumps()

    def _hosts(self) -> list[str]:
        played: Sequence[str] = self._task_vars.get("ansible_play_hosts_all", ())
        return resolve(self._pattern, self._task_vars["groups"], played)

    def _folders(self) -> list[Path]:
        """Return the folders that relative paths start from: the inventory's, else the current one."""
        inventory = self._task_vars.get("inventory_dir")
        return [*([Path(str(inventory))] if inventory else []), Path.cwd()]

    def _variable(self, name: str) -> Any:
        """Return the value of a variable of another project; of a mapping, only what is read, as the rest may be undefined."""
        value = self._task_vars.get(name)
        if isinstance(value, Mapping):
            value = {key: value[key] for key in KUBESPRAY_KEYS if key in value}
        try:
            return self._action._templar.template(value) if value else None  # noqa: SLF001 - as Ansible's own action plugins
        except AnsibleError as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            remedy = f"Correct it, give networks, or set {VARIABLE}."
            raise InputError(name, f"it cannot be evaluated: {reason}", remedy) from error


def cluster_answer(answer: Any) -> Mapping[str, Any]:
    """Return what the cluster answered in an earlier play.

    :raises InputError: it was not asked.
    """
    if not isinstance(answer, Mapping) or "resources" not in answer:
        problem = "no earlier play of this run has asked the cluster"
        remedy = "Use the playbooks, or run the role node with tasks_from: metallb in an earlier play for these hosts."
        raise InputError(f"{VARIABLE}.cluster", problem, remedy)
    return answer
