"""Ansible connection into a node of the lab: its network and mount namespaces, through the process that holds them."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from ansible.errors import AnsibleFileNotFound
from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: netns
short_description: enter a network and mount namespace on this machine
description:
  - Runs commands in the namespaces of a process, as the C(local) connection runs them in its own.
  - Files are read and written as that process sees them.
author: The homeward maintainers
options:
  holder:
    description: File with the process id of the node's holder.
    type: path
    required: true
    vars:
      - name: ansible_netns_holder
  pipelining:
    description: Send modules through standard input instead of a file.
    type: boolean
    default: true
    vars:
      - name: ansible_pipelining
"""


class Connection(LocalConnection):
    """`local`, with every command prefixed by nsenter and every remote path taken in the holder's root."""

    transport = "netns"

    def _holder(self) -> str:
        return Path(self.get_option("holder")).read_text().strip()

    def exec_command(
        self, cmd: str | list[str], in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run a command in the node, a string through sh as `local` does."""
        words = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else cmd
        enter = ["nsenter", "--target", self._holder(), "--net", "--mount", "--", *words]
        return super().exec_command(shlex.join(enter), in_data, sudoable)

    # `local` resolves links in paths, and so would walk out of the holder's root again: both copy by themselves

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this machine to the node."""
        shutil.copyfile(in_path, self._in_node(out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the node to this machine."""
        try:
            shutil.copyfile(self._in_node(in_path), out_path)
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"{in_path}: no such file on the node") from error

    def _in_node(self, path: str) -> str:
        return f"/proc/{self._holder()}/root{path}"
