# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of metallb_advertisements: prints, or applies, the L2Advertisements that fit the declared pools."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_action import ClusterAction
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import resolve
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_announced import Announced
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_labels import advertisements, check_links
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_links import play_links

_NAMESPACE = "metallb-system"
_PER_COMMAND = 50


class ActionModule(ClusterAction):
    """Action plugin of the module metallb_advertisements."""

    _VALID_ARGS = frozenset({"sources", "nodes", "apply"})

    def act(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Print the manifests; apply them if asked for."""
        hosts = resolve(self.pattern, task_vars["groups"], task_vars["ansible_play_hosts_all"])
        metallb = self.metallb(task_vars)
        links, problems, warnings = play_links(hosts, self.reader, self.pool_variables(task_vars), metallb)
        if problems:
            return {"failed": True, "msg": "\n".join(problems)}
        by_label = self.sources.label_nodes
        if by_label:
            check_links(pair for of_host in links.values() for pair in of_host.items())
        names = self.nodes(task_vars, hosts)[0].names if self.sources.needs_cluster else {}
        announced = metallb.announced() if self.sources.are_given else Announced()
        namespace = self.sources.namespace or _NAMESPACE
        found = advertisements(links, names, namespace, by_label=by_label)
        text = yaml.safe_dump_all(found, explicit_start=True, sort_keys=False)
        if not _prints_json():
            Display().display(text)
        applied = self._applied(found)
        return {
            "changed": any(line.endswith((" created", " configured")) for line in applied),
            "advertisements": found,
            "applied": applied,
            "warnings": [*warnings, *_others(announced, found)],
        }

    def _applied(self, found: Sequence[Any]) -> list[str]:
        """Return what kubectl says, nothing unless the manifests are to be applied."""
        if self._task.check_mode or not boolean(self._task.args.get("apply", False), strict=False):
            return []
        commands = []
        for start in range(0, len(found), _PER_COMMAND):
            items = {"apiVersion": "v1", "kind": "List", "items": found[start : start + _PER_COMMAND]}
            commands.append(f"printf %s {shlex.quote(json.dumps(items))} | $kubectl apply --filename=-")
        return self.kubectl(commands).splitlines()


def _others(announced: Announced, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield warnings about advertisements that announce the same pools elsewhere, as several add up."""
    names = {one["metadata"]["name"] for one in found}
    pools = {pool for one in found for pool in one["spec"]["ipAddressPools"]}
    for one in announced.announcements:
        common = sorted(pools.intersection(one.pools))
        if common and one.name not in names:
            yield (
                f"{one} also selects {', '.join(common)}, and several advertisements for a pool add up. Delete it, or restrict it"
                " to other pools, after the printed ones are applied."
            )


def _prints_json() -> bool:
    """Whether the output of Ansible is read by a program, for which other text would be invalid."""
    return "json" in str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2]
