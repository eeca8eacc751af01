# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible connection to a node of the lab that loses the reply to the first command after a reset."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.loader import connection_loader

netns = connection_loader.get("netns", class_only=True)
DOCUMENTATION = """
name: netns_loses_an_answer
short_description: enter a node of the lab, and lose a reply
description: As C(netns), but the reply to the first command after the first reset gets lost.
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


class Connection(netns):  # type: ignore[misc,valid-type] - known when it is loaded
    """`netns` that runs a command and loses the reply."""

    transport = "netns_loses_an_answer"
    _resets = 0
    _lost = 0

    def reset(self) -> None:
        """Count the resets."""
        self._resets += 1

    def exec_command(self, *arguments: Any, **options: Any) -> Any:
        """Run a command on the node."""
        answer = super().exec_command(*arguments, **options)
        if self._resets and not self._lost:
            self._lost += 1
            raise AnsibleConnectionFailure("Shared connection to the host closed.")
        return answer
