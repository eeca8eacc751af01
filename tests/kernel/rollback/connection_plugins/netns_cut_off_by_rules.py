# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible connection to a node of the lab that cannot be reset while the node has managed rules."""

from __future__ import annotations

import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.loader import connection_loader

netns = connection_loader.get("netns", class_only=True)
DOCUMENTATION = """
name: netns_cut_off_by_rules
short_description: enter a node of the lab, and lose it
description: As C(netns), but a new connection to O(holder) fails while it has managed rules.
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
    """`netns` that checks the rules of the node on reset."""

    transport = "netns_cut_off_by_rules"

    def reset(self) -> None:
        """Reset the connection, or fail like ssh."""
        rules = ["nsenter", "--target", self._holder(), "--net", "ip", "rule", "show", "protocol", "77"]
        if subprocess.run(rules, capture_output=True, check=True).stdout:
            raise AnsibleConnectionFailure("Failed to connect to the host: Connection timed out")
