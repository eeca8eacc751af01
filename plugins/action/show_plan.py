# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of show_plan: prints the plan of all hosts of the play."""

from __future__ import annotations

from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.plan_text import Results, plan_lines
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_addresses import PlayAddresses

_RESULT = "metallb_routing_result"


class ActionModule(ActionBase):
    """Action plugin of the module show_plan."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"nodes"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Print the plan; return it, too."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        active = set(variables["ansible_play_hosts"])
        # The raw variables: evaluating the results of many hosts as templates takes minutes.
        results: Results = {
            host: variables["hostvars"].raw_get(host).get(_RESULT) if host in active else None
            for host in variables["ansible_play_hosts_all"]
        }
        found = None
        if any(one and not (one.get("node_addresses") or {}).get("declared", True) for one in results.values()):
            try:
                found = PlayAddresses(self, variables, self._task.args.get("nodes", "")).addresses()
            except InputError as error:
                return {**result, "failed": True, "msg": str(error)}
        lines = plan_lines(results, found)
        if not _prints_json():
            Display().display("\n".join(lines))
        return {**result, "changed": False, "plan": [line for line in lines if line]}


def _prints_json() -> bool:
    """Whether the output of Ansible is read by a program, for which other text would be invalid."""
    return "json" in str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2]
