# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of pool_routing: validates its input, supplies code and pyroute2, and confirms the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.archive import version
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    parse_declaration,
    parse_settings,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, refused
from ansible_collections.homeward.metallb_routing.plugins.module_utils.installed import UNUSABLE
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.bring_pyroute2 import BringPyroute2
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.confirm import confirm


class ActionModule(BringPyroute2):
    """Action plugin of the module pool_routing."""

    _unreachable = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse invalid arguments, run the module, and confirm its change over a new connection."""
        refusal = _refusal(self._task.args)
        if refusal:
            return refusal
        result = confirm(self, super().run(tmp, task_vars))
        self._unreachable = result.get("confirmed") is False
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
                module_name=f"{self._task.action}_installed",
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


def _refusal(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the failed result of a task with invalid arguments, or ``{}``.

    The module checks them too, but Ansible does so before it, and its messages have neither a pool's index nor a remedy.
    """
    parse = parse_settings if arguments.get("state") == "absent" else parse_declaration
    try:
        parse(arguments)
    except InputError as error:
        return refused(error, arguments)
    return {}
