"""Ansible connection to a node of the lab, through the namespaces of the node's process."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from ansible.errors import AnsibleFileNotFound
from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: netns
short_description: run in the namespaces of a local process
description:
  - Runs commands in the network and mount namespace of a process, and in its PID, UTS and IPC namespaces if it has own ones.
  - Files are copied to and from the root file system of that process.
author: The homeward.metallb_routing authors
options:
  holder:
    description: File with the id of the process.
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
    """The `local` connection, with nsenter in front of every command and remote paths below the process's root."""

    transport = "netns"

    def _holder(self) -> str:
        return Path(self.get_option("holder")).read_text().strip()

    def exec_command(
        self, cmd: str | list[str], in_data: bytes | None = None, sudoable: bool = True
    ) -> tuple[int, bytes, bytes]:
        """Run a command on the node; a string is given to sh, as by `local`."""
        words = ["/bin/sh", "-c", cmd] if isinstance(cmd, str) else cmd
        return super().exec_command(shlex.join([*self._enter(), *words]), in_data, sudoable)

    def _enter(self) -> list[str]:
        """Return the command line prefix; like tests.lab.namespaces.enter, which Ansible cannot import."""
        process = Path("/proc", self._holder(), "ns")
        own = [
            kind
            for kind in ("pid", "uts", "ipc")
            if (process / kind).readlink() != Path("/proc/self/ns", kind).readlink()
        ]
        return ["nsenter", "--target", self._holder(), "--net", "--mount", *(f"--{kind}" for kind in own), "--"]

    # Overridden because `local` resolves symbolic links, which would lead out of the process's root

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file from this machine to the node."""
        shutil.copyfile(in_path, self._in_node(out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file from the node to this machine."""
        try:
            shutil.copyfile(self._in_node(in_path), out_path)
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"{in_path}: no such file on the node") from error

    def _in_node(self, path: str) -> str:
        return f"/proc/{self._holder()}/root{path}"
