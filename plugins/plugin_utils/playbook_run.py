# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is particular to the result of a node in a run of the collection's playbooks, which show the results of all nodes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import STATE_FILE
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_variables import Found

#: The variable that the playbooks set for their plays.
_FLAG = "_metallb_routing_playbook"
_WITHOUT = {
    "pod_networks": "kube_pods_subnet, rke2_cluster_cidr, or --cluster-cidr in extra_server_args",
    "service_networks": "kube_service_addresses, rke2_service_cidr, or --service-cidr in extra_server_args",
}


class PlaybookRun:
    """The run that a task belongs to.

    :param collect_warnings: the option of the task.
    """

    def __init__(self, variables: Mapping[str, Any], *, collect_warnings: bool = False) -> None:
        self.is_playbook = bool(variables.get(_FLAG))
        self._collects = self.is_playbook or collect_warnings
        self._host = str(variables.get("inventory_hostname", ""))
        self._batch: Sequence[str] = variables.get("ansible_play_batch", ())
        self._all: Sequence[str] = variables.get("ansible_play_hosts_all", ())

    def completed(self, result: dict[str, Any], arguments: Mapping[str, Any], cluster: Found | None) -> dict[str, Any]:
        """Return the result with the networks of its pools as the user wrote them, and with warnings for the last play."""
        cases = result.get("cases", ())
        networks = {pool["name"]: _listed(pool.get("networks")) for pool in arguments["pools"]} if cases else {}
        for case in cases:
            case["networks"] = networks.get(case["pool"], [])
        collected = (*result.pop("host_warnings", ()), *result.pop("warnings", ()))
        warnings = [_with_variables(str(one), cluster) for one in collected]
        if self._collects and not result.get("failed"):
            result["host_warnings"] = warnings
        elif warnings:
            result["warnings"] = warnings
        if self.is_playbook and result.get("failed"):
            result["msg"] = f"{str(result.get('msg', '')).rstrip()}{self._consequence()}"
        return result

    def _consequence(self) -> str:
        """Return what the failure of the only node of a batch means for those that follow."""
        later = len(self._all) - 1 - self._all.index(self._host) if self._host in self._all else 0
        if len(self._batch) != 1 or not later:
            return ""
        rest = (
            "The node that follows stays as it is" if later == 1 else f"The {later} nodes that follow stay as they are"
        )
        return f" The run ends here. {rest}."


def skipped(action: ActionBase) -> dict[str, Any]:
    """Return the result for a node without pools; with a warning if an earlier run has configured it."""
    done = action._low_level_execute_command(f"test -e {shlex.quote(STATE_FILE)}")  # noqa: SLF001 - as in Ansible
    warning = (
        "no pools are declared, but an earlier run has configured this node. It stays as it is. Declare its pools, or remove"
        " the configuration with the playbook homeward.metallb_routing.remove and --limit."
    )
    return {
        "changed": False,
        "skipped": True,
        "skip_reason": "no pools are declared for this host",
        "host_warnings": [warning] if done["rc"] == 0 else [],
    }


def _listed(networks: Any) -> list[str]:
    return [networks] if isinstance(networks, str) else [str(one) for one in networks or ()]


def _with_variables(warning: str, cluster: Found | None) -> str:
    """Return the warning about networks that are not declared with the variables that do not define them either."""
    for option, names in _WITHOUT.items():
        if cluster and warning.startswith(f"cluster.{option}: not declared"):
            failed = "".join(f" {name} cannot be evaluated: {reason}." for name, reason in cluster.problems.items())
            return f"{warning} Set metallb_routing_cluster.{option}; this host has no {names}, either.{failed}"
    return warning
