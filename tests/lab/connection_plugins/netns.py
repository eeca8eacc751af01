"""Ansible connection into a node of the lab: its network and mount namespaces, through the process that holds them."""

from __future__ import annotations

DOCUMENTATION = """
name: netns
short_description: enter a network and mount namespace on this machine
description:
  - Runs commands in the namespaces of a process, as the C(local) connection runs them in its own.
  - Files are read and written as that process sees them.
author: The homeward authors
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

from pathlib import Path

from ansible.plugins.connection.local import Connection as LocalConnection


class Connection(LocalConnection):
    """`local`, with every command prefixed by nsenter and every remote path taken in the holder's root."""

    transport = "netns"

    def _holder(self) -> str:
        return Path(self.get_option("holder")).read_text().strip()

    def exec_command(self, cmd, in_data=None, sudoable=True):  # type: ignore[no-untyped-def]
        words = [cmd] if isinstance(cmd, str) else list(cmd)
        shell = ["/bin/sh", "-c", *words] if isinstance(cmd, str) else words
        return super().exec_command(["nsenter", "--target", self._holder(), "--net", "--mount", "--", *shell], in_data, sudoable)

    def put_file(self, in_path, out_path):  # type: ignore[no-untyped-def]
        return super().put_file(in_path, f"/proc/{self._holder()}/root{out_path}")

    def fetch_file(self, in_path, out_path):  # type: ignore[no-untyped-def]
        return super().fetch_file(f"/proc/{self._holder()}/root{in_path}", out_path)
