# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the entries of a module for one kind of object before Ansible converts their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, refused
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.supply_pyroute2 import SupplyPyroute2


class EntriesAction(SupplyPyroute2):
    """Base of the action plugins of the modules whose main option is a list of objects.

    The module reads them too, but Ansible does so before it: it turns ``"1_0"`` and ``"010"`` into 10, and its messages have
    neither the path of an entry nor a remedy.
    """

    OPTION: str
    parse: Callable[[Any], Any]

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Read the entries.

        :raises InputErrors: some are invalid.
        """
        if self.OPTION in arguments:
            self.parse(arguments[self.OPTION])

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse invalid entries, or run the module."""
        arguments = self._task.args
        try:
            self.check(arguments)
        except InputError as error:
            return refused(error, arguments)
        return super().run(tmp, task_vars)
