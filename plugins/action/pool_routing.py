# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugin of pool_routing: validates its input, supplies pyroute2, and confirms the change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import (
    parse_declaration,
    parse_settings,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, refused
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.bring_pyroute2 import BringPyroute2
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.confirm import confirm


class ActionModule(BringPyroute2):
    """Action plugin of the module pool_routing."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse invalid arguments, run the module, and confirm its change over a new connection."""
        refusal = _refusal(self._task.args)
        if refusal:
            return refusal
        return confirm(self, super().run(tmp, task_vars))


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
