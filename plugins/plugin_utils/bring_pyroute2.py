# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module, and supply the controller's pyroute2 if the node has none that is recent enough.

The module itself reports that pyroute2 is missing, so a node that has it costs no extra round trip.
"""

from __future__ import annotations

import io
import shlex
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import Pyroute2Missing
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.pyroute2_loader import (
    MINIMUM,
    find_pyroute2,
)

MISSING = "pyroute2_missing"


class BringPyroute2(ActionBase):
    """Base of the action plugins of all modules that need pyroute2."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; if it lacks pyroute2, copy it to the node and run the module again."""
        super().run(tmp, task_vars)
        result: dict[str, Any] = self._execute_module(task_vars=task_vars)
        if not result.pop(MISSING, False):
            return result
        configured = str(result.pop("pyroute2_path"))
        # In check mode the copy goes into the directory that Ansible removes after the task.
        directory = self._temporary("pyroute2") if self._task.check_mode else configured.partition(":")[0]
        self._copy_pyroute2(directory)
        arguments = {
            **self._task.args,
            "pyroute2_path": configured if directory in configured else f"{configured}:{directory}",
        }
        result = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.pop(MISSING, None)
        return result

    def _temporary(self, name: str) -> str:
        """Return a path in the directory on the node that Ansible removes after the task."""
        shell = self._connection._shell  # noqa: SLF001 - what Ansible's own action plugins use
        if not shell.tmpdir:
            self._make_tmp_path()
        return str(shell.join_path(shell.tmpdir, name))

    def _copy_pyroute2(self, directory: str) -> None:
        """Unpack the controller's pyroute2 below ``directory`` on the node."""
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            archive.write(pack_pyroute2())
            archive.flush()
            remote = self._transfer_file(archive.name, self._temporary("pyroute2.tar.gz"))
        target, source = shlex.quote(directory), shlex.quote(remote)
        unpacked = self._low_level_execute_command(
            f"mkdir -p {target} && tar -xzf {source} -C {target} && rm -f {source}"
        )
        if unpacked["rc"] != 0:
            raise AnsibleActionFail(
                f"The controller's pyroute2 was copied to the node, but could not be unpacked in {directory}: {unpacked['stderr']}"
            )


def pack_pyroute2() -> bytes:
    """Return the controller's pyroute2 as a gzipped tar archive, without bytecode."""
    try:
        found = find_pyroute2("")
    except Pyroute2Missing as error:
        needed = ".".join(map(str, MINIMUM))
        raise AnsibleActionFail(
            f"The node has no pyroute2 >= {needed}, and neither has the controller, which would copy it to the node. Install it"
            f" for the controller's Python, {sys.executable} (pip install --upgrade 'pyroute2>={needed}'), or on the node,"
            f" if its distribution packages a recent one (python3-pyroute2)."
        ) from error
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
        archive.add(str(Path(found.directory) / "pyroute2"), arcname="pyroute2", filter=_portable)
    return buffer.getvalue()


def _portable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if "__pycache__" in member.name.split("/"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
