# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible connection to a node of the lab that fails after it is reset."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.loader import connection_loader

netns = connection_loader.get("netns", class_only=True)
DOCUMENTATION = """
name: netns_with_fault
short_description: run on a node of the lab, with a fault
description: The C(netns) connection with a fault after a reset.
author: The homeward.metallb_routing authors
options:
  fault:
    description:
      - V(cut_off) makes a reset, and commands after it, fail while the node has managed rules, as if they cut it off.
      - Both add a message of ssh to the error output of every command.
      - V(lost_reply) loses the reply to the first command after the first reset.
    choices: [cut_off, lost_reply]
    required: true
    vars:
      - name: ansible_netns_fault
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


class Connection(netns):  # type: ignore[misc,valid-type] - known when it is loaded
    """The `netns` connection with a fault."""

    transport = "netns_with_fault"
    _resets = 0
    _lost = 0

    def reset(self) -> None:
        """Reconnect, or fail like ssh."""
        self._resets += 1
        self._fail_if_cut_off()

    def _fail_if_cut_off(self) -> None:
        rules = ["nsenter", "--target", self._holder(), "--net", "ip", "-details", "-json", "rule", "show"]
        shown = json.loads(subprocess.run(rules, capture_output=True, check=True).stdout)
        managed = [rule for rule in shown if str(rule.get("protocol")) in ("77", "homeward")]
        if self.get_option("fault") == "cut_off" and managed:
            raise AnsibleConnectionFailure("Failed to connect to the host: Connection timed out")

    def exec_command(self, *arguments: Any, **options: Any) -> Any:
        """Run a command on the node."""
        if self._resets:
            self._fail_if_cut_off()
        answer = super().exec_command(*arguments, **options)
        if self.get_option("fault") == "lost_reply" and self._resets and not self._lost:
            self._lost += 1
            raise AnsibleConnectionFailure("Shared connection to the host closed.")
        code, output, errors = answer
        return code, output, errors + b"Shared connection to the host closed."  # as ssh with a terminal does
