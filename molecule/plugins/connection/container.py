# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible connection into a container on this machine, by the namespaces of its first process."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from ansible.errors import AnsibleFileNotFound
from ansible.plugins.connection.local import Connection as LocalConnection
from containers.lab import enter

DOCUMENTATION = """
name: container
short_description: enter a container on this machine
description:
  - Runs commands in the namespaces of a container's first process, as the C(local) connection runs them in its own.
  - It does the same for every engine, and takes a hundredth of the time that an engine's C(exec) takes.
author: The homeward.metallb_routing authors
options:
  process:
    description: File with the id that the container's first process has on this machine.
    type: path
    required: true
    vars:
      - name: ansible_container_process
  pipelining:
    description: Send modules through standard input instead of a file.
    type: boolean
    default: true
    vars:
      - name: ansible_pipelining
"""


class Connection(LocalConnection):
    """`local`, with every command prefixed by nsenter and every remote path taken in the container's root."""

    transport = "container"

    def _process(self) -> int:
        return int(Path(self.get_option("process")).read_text())

    def exec_command(
        self, cmd: str | list[str], in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run a command in the container, a string through sh as `local` does."""
        words = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else cmd
        return super().exec_command(shlex.join([*enter(self._process()), *words]), in_data, sudoable)

    # `local` resolves links in paths, and so would walk out of the container's root again: both copy by themselves

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this machine to the container."""
        shutil.copyfile(in_path, self._inside(out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the container to this machine."""
        try:
            shutil.copyfile(self._inside(in_path), out_path)
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"{in_path}: no such file in the container") from error

    def _inside(self, path: str) -> str:
        return f"/proc/{self._process()}/root{path}"
