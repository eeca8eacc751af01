# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module, and send it the tables of the controller's pyroute2 if the node has none that is recent enough.

The module itself reports that pyroute2 is missing, so a node that has it costs no extra round trip. Only the tables of the
messages in use are sent, as a file in the directory that Ansible removes after the task.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError, Pyroute2Missing
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.formats import (
    dump_formats,
    load_formats,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import (
    MINIMUM,
    find_pyroute2,
)

# What Python 2.7 to 3.6 print for the first line of a module.
_TOO_OLD = re.compile(r"future feature annotations is not defined")
MISSING = "pyroute2_missing"


class SupplyPyroute2(ActionBase):
    """Base of the action plugins of all modules that need pyroute2."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; if it lacks pyroute2, send the controller's tables and run the module again."""
        super().run(tmp, task_vars)
        result: dict[str, Any] = explained(self.run_module(task_vars))
        if not result.pop(MISSING, False):
            return result
        configured = str(result.pop("pyroute2_path"))
        tables = self._transfer_data(self._temporary("netlink.json"), pack_tables())
        arguments = {**self._task.args, "pyroute2_path": os.pathsep.join((configured, tables))}
        result = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.pop(MISSING, None)
        return result

    def run_module(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run the task's module, for the first time."""
        result: dict[str, Any] = self._execute_module(task_vars=task_vars)
        return result

    def _temporary(self, name: str) -> str:
        """Return a path in the directory on the node that Ansible removes after the task."""
        shell = self._connection._shell  # noqa: SLF001 - what Ansible's own action plugins use
        if not shell.tmpdir:
            self._make_tmp_path()
        return str(shell.join_path(shell.tmpdir, name))


def explained(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result; where the node's Python cannot even read the module, with a message that says so."""
    if not _TOO_OLD.search(str(result.get("module_stderr", ""))):
        return result
    text = (
        "The Python that Ansible uses on this node is too old: homeward.metallb_routing needs 3.9 or newer. Install a newer"
        " Python alongside it, and set ansible_python_interpreter."
    )
    return {**result, "msg": text}


def pack_tables() -> str:
    """Return the tables of the controller's pyroute2."""
    try:
        return dump_formats(load_formats(find_pyroute2("")))
    except Pyroute2Missing as error:
        needed = ".".join(map(str, MINIMUM))
        raise AnsibleActionFail(
            f"The node has no pyroute2 >= {needed}, and neither has the controller, which would send its tables to the node."
            f" Install it for the controller's Python, {sys.executable} (pip install --upgrade 'pyroute2>={needed}'), or on the"
            " node, if its distribution packages a recent one (python3-pyroute2)."
        ) from error
    except NodeError as error:
        raise AnsibleActionFail(str(error)) from error
