# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of pool_routing: validates its input, supplies node addresses, code and pyroute2, and confirms the change."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.archive import version
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    parse_declaration,
    parse_settings,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, refused
from ansible_collections.homeward.metallb_routing.plugins.module_utils.installed import UNUSABLE
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_variables import Found, find
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.confirm import confirm
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.declared_pools import (
    as_written,
    is_by_variable,
    join_pools,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.diff_text import as_text, count
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_join import Joined
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_addresses import PlayAddresses
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_metallb import PlayMetallb
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.playbook_run import PlaybookRun, skipped
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.supply_pyroute2 import SupplyPyroute2

_INSTALLED = "homeward.metallb_routing.pool_routing_installed"


class ActionModule(SupplyPyroute2):
    """Action plugin of the module pool_routing."""

    _unreachable = False
    _joined: Joined | None = None
    _numbers: Mapping[str, int] = MappingProxyType({})  # of pools, by the variable that declares them

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse invalid arguments, run the module, and confirm its change over a new connection."""
        given = self._task.args
        variables = task_vars or {}
        collects = boolean(given.get("collect_warnings", False), strict=False)
        run = PlaybookRun(variables, collect_warnings=bool(collects))
        arguments = {**given, "collect_warnings": True}
        try:
            cluster = self._complete(arguments, variables)
        except InputError as error:
            return run.completed(as_written(refused(error, arguments), self._numbers), arguments, None)
        if self._joined and self._joined.not_selected and not self._joined.pools:
            return run.completed(self._joined.skipped(), arguments, None)
        if run.is_playbook and is_by_variable(given.get("pools")) and arguments.get("pools") == []:
            return skipped(self)
        self._task.args = arguments
        result = confirm(self, self._with_diff(tmp, task_vars), str(variables.get("inventory_hostname", "")))
        if self._joined:
            self._joined.amend(result)
        if "nodes" in arguments and "module_args" in result.get("invocation", {}):
            result["invocation"]["module_args"]["nodes"] = given["nodes"]  # not the addresses of the whole cluster
        self._unreachable = result.get("confirmed") is False
        return run.completed(as_written(result, self._numbers), arguments, cluster)

    def _with_diff(self, tmp: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the module in diff mode, count what it changes, and return the difference as text if it was asked for."""
        asked = self._task.diff
        self._task.diff = True
        try:
            result: dict[str, Any] = super().run(tmp, task_vars)
        finally:
            self._task.diff = asked
        found = result.pop("diff", None)
        if found is not None:
            result["changes"] = count(found)
            if asked:
                result["diff"] = as_text(found)
        return result

    def cleanup(self, force: bool = False) -> None:  # noqa: FBT001 - as in Ansible
        """Remove temporary files, unless the node cannot be reached: that would replace the result by "unreachable"."""
        try:
            super().cleanup(force)
        except AnsibleConnectionFailure:
            if not self._unreachable:
                raise

    def run_module(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run from the code that an earlier run installed on the node; if that is not possible, send all of the code."""
        if self._may_be_installed():
            result: dict[str, Any] = self._execute_module(
                module_name=_INSTALLED,
                module_args={"version": version(), "arguments": self._task.args},
                task_vars=task_vars,
            )
            if not result.pop(UNUSABLE, False):
                return result
        return super().run_module(task_vars)

    def _may_be_installed(self) -> bool:
        """Whether an earlier run with these arguments has installed code that this run keeps."""
        arguments = self._task.args
        persists = boolean(arguments.get("persist", True), strict=False)
        return persists and arguments.get("state") != "absent" and not self._task.async_val

    def _complete(self, arguments: dict[str, Any], task_vars: Mapping[str, Any]) -> Found | None:
        """Validate the arguments, join the pools of the role's variables, and replace ``nodes`` by the addresses.

        Options of the cluster that the role's variables do not declare come from the variables of the tool that set it up.

        The module validates them, too, but Ansible does so before it, and its messages have neither a pool's index nor a remedy.

        :raises InputError: an argument is invalid.
        """
        if arguments.get("state") == "absent":
            for name in ("pools", "cluster", "nodes"):
                arguments.pop(name, None)
            parse_settings(arguments)
            return None
        pools: Any = arguments.get("pools")
        found = None
        if is_by_variable(pools):
            arguments["pools"], self._numbers = join_pools(pools, str(pools.get("required", "")))
            if not arguments["pools"] and PlaybookRun(task_vars).is_playbook:
                return None
            metallb = PlayMetallb(self, task_vars, pools.get("metallb"), arguments.get("nodes"))
            self._joined = metallb.join(arguments["pools"])
            found = self._read_cluster(arguments, task_vars)
        self._parse(arguments)
        if "nodes" not in arguments:
            return found
        if is_unset((arguments.get("cluster") or {}).get("node_addresses")):
            arguments["nodes"] = PlayAddresses(self, task_vars, arguments["nodes"]).for_module()
        else:
            del arguments["nodes"]
        return found

    def _parse(self, arguments: dict[str, Any]) -> None:
        """Refuse invalid pools; what comes from MetalLB's resources is an error there."""
        if not self._joined:
            parse_declaration(arguments)
            return
        if not self._joined.pools and self._joined.not_selected:
            return
        try:
            parse_declaration({**arguments, "pools": self._joined.pools})
        except InputError as error:
            raise self._joined.translated(error) from error
        arguments["pools"] = self._joined.pools

    def _read_cluster(self, arguments: dict[str, Any], task_vars: Mapping[str, Any]) -> Found | None:
        """Add what the variables of Kubespray, k3s-ansible and lablabs.rke2 say about the cluster."""
        declared = arguments.get("cluster") or {}
        if not isinstance(declared, Mapping):
            return None
        found = find(declared, lambda name: self._templar.template(task_vars[name]) if name in task_vars else None)
        arguments["cluster"] = {**declared, **found.options}
        return found
