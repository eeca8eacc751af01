# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of this name, with pyroute2 brought along where the node has none that is new enough, and its change confirmed."""

from __future__ import annotations

from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.bring_pyroute2 import BringPyroute2
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.confirm import confirm


class ActionModule(BringPyroute2):
    """Action plugin of the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, and show by a new connection that the node can still be reached."""
        return confirm(self, super().run(tmp, task_vars))
