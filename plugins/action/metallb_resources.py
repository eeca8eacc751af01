# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of metallb_resources: asks the cluster, through kubernetes.core if that works, else with kubectl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, NodeError, refused
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_cluster import (
    KINDS,
    answer,
    question,
    read_answer,
    why,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import Sources, read_sources

_K8S_INFO = "kubernetes.core.k8s_info"
_API = "metallb.io/v1beta1"


class ActionModule(ActionBase):
    """Action plugin of the module metallb_resources."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"sources"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return MetalLB's resources and the nodes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            sources = read_sources(self._task.args.get("sources"))
        except InputError as error:
            return {**result, **refused(error, self._task.args)}
        found = None if sources.kubectl else self._from_k8s_info(sources, task_vars or {})
        if found is None:
            found = self._from_kubectl(sources)
        return {**result, "changed": False, **found}

    def _from_k8s_info(self, sources: Sources, task_vars: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer of kubernetes.core, None if it is not installed or cannot ask from this host."""
        if not self._shared_loader_obj.module_loader.find_plugin_with_context(_K8S_INFO).resolved:
            return None
        resources: list[Any] = []
        for kind in (*KINDS, "Node"):
            arguments = {"kind": kind, "api_version": "v1" if kind == "Node" else _API}
            if kind != "Node" and sources.namespace:
                arguments["namespace"] = sources.namespace
            if sources.kubeconfig:
                arguments["kubeconfig"] = sources.kubeconfig
            found = self._k8s_info(arguments, task_vars)
            if found.get("failed") or "resources" not in found:
                return None
            if kind == "Node":
                return {**answer(resources, map(_node, found["resources"])), "asked_with": _K8S_INFO}
            resources += found["resources"]
        return None

    def _k8s_info(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> Mapping[str, Any]:
        task = self._task.copy()
        task.action, task.args = _K8S_INFO, arguments
        loader = self._shared_loader_obj.action_loader
        name = _K8S_INFO if loader.find_plugin_with_context(_K8S_INFO).resolved else "ansible.builtin.normal"
        action = loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        found: Mapping[str, Any] = action.run(task_vars=task_vars)
        return found

    def _from_kubectl(self, sources: Sources) -> dict[str, Any]:
        done = self._low_level_execute_command(question(sources), executable="/bin/sh")
        if done["rc"]:
            return {"failed": True, "msg": f"The cluster cannot be asked: {why(done)}."}
        try:
            return {**read_answer(done["stdout"]), "asked_with": "kubectl"}
        except NodeError as error:
            return {"failed": True, "msg": f"The cluster cannot be asked: {error}."}


def _node(resource: Mapping[str, Any]) -> dict[str, Any]:
    metadata = resource["metadata"]
    addresses = (resource.get("status") or {}).get("addresses") or ()
    return {
        "name": metadata["name"],
        "labels": metadata.get("labels") or {},
        "addresses": [address["address"] for address in addresses],
    }
