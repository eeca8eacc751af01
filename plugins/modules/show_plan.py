#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: show_plan
short_description: Print the plan of all hosts of a play, or what was done
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Prints a table of the hosts and their pools with the number of added and removed objects, the case of each pool with the reason, the
    node addresses with their sources, and the commands that C(apply) would run. What is equal on several hosts is printed once.
  - Prints each warning once, with all hosts that have it.
  - Runs on the controller, for all hosts of the play together, after a task of C(homeward.metallb_routing.pool_routing) in check mode that
    registered its result as C(metallb_routing_result).
  - The text is printed even if the callback plugin does not show successful tasks. If the callback plugin prints JSON, the text is only in
    the result.
options:
  nodes:
    description: The value of O(homeward.metallb_routing.pool_routing#module:nodes) in the plan.
    type: raw
  done:
    description: Print only the table, for a run that was not a plan.
    type: bool
    default: false
  fail_on_drift:
    description: Fail if a host is not configured as declared, that is, if C(apply) would change something.
    type: bool
    default: false
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
  sample: ["Plan:", "nodes      pool      case            link      changes", "node[1:3]  external  policy_routing  eth0.100  +117 -0"]
"""
