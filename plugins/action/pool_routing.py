# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of this name, with pyroute2 brought along where the node has none that is new enough, and its change confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, refused
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.bring_pyroute2 import BringPyroute2
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.confirm import confirm


class ActionModule(BringPyroute2):
    """Action plugin of the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse what can be seen to be wrong from here, run the module, and show that the node can still be reached."""
        refusal = _refusal(self._task.args)
        if refusal:
            return refusal
        return confirm(self, super().run(tmp, task_vars))


def _refusal(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a run with arguments that cannot be right, or ``{}``.

    The module looks at them too, but only after Ansible, which knows neither the number of a pool nor a remedy.
    """
    # What is removed does not depend on the pools.
    looked_at = {**arguments, "pools": None, "cluster": None} if arguments.get("state") == "absent" else arguments
    try:
        parse_declaration(looked_at)
    except InputError as error:
        return refused(error, arguments)
    return {}
