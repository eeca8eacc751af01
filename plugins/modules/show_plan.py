#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: show_plan
short_description: Print the plan of all hosts of a play
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Prints the case of each pool, the node addresses with their sources, and the commands that C(apply) would run, once for all nodes with
    the same commands.
  - Runs on the controller, for all hosts of the play together, after a task of C(homeward.metallb_routing.pool_routing) in check mode that
    registered its result as C(metallb_routing_result).
  - The text is printed even if the callback plugin does not show successful tasks. If the callback plugin prints JSON, the text is only in
    the result.
options:
  nodes:
    description: The value of O(homeward.metallb_routing.pool_routing#module:nodes) in the plan.
    type: raw
attributes:
  check_mode:
    description: Can run in check mode and return the same result.
    support: full
  diff_mode:
    description: Returns what has changed.
    support: none
seealso:
  - module: homeward.metallb_routing.pool_routing
"""

EXAMPLES = r"""
- name: Show the plan
  homeward.metallb_routing.show_plan:
    nodes: k8s_cluster
  run_once: true
"""

RETURN = r"""
plan:
  description: The text.
  type: list
  elements: str
  returned: always
  sample:
    - "The case of each pool:"
    - "node1: external on eth0.100 is policy_routing: replies must leave through 1.2.3.1 on eth0.100, and the node's default route uses
      192.168.1.1 on eth0; table 7701, mark 0x100, dedicated interface"
"""
