#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metallb_advertisements
short_description: Print or apply the L2Advertisements that fit the declared pools
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Prints an C(L2Advertisement) for each pool and link, with the link in C(interfaces). C(nodeSelectors) select the nodes that have the pool
    there, by the label of M(homeward.metallb_routing.metallb_labels) if C(label_nodes) is set, else by their names.
  - Runs once for all hosts of the play, with kubectl on the host of the task.
options:
  apply:
    description: Apply the manifests with C(kubectl apply).
    type: bool
    default: false
  sources:
    description: The value of C(metallb_routing_metallb).
    type: raw
  nodes:
    description: The value of O(homeward.metallb_routing.pool_routing#module:nodes).
    type: raw
attributes:
  check_mode:
    description: Can run in check mode and return the same result.
    support: partial
    details: Applies nothing, and does not tell what would change.
  diff_mode:
    description: Returns what has changed.
    support: none
seealso:
  - module: homeward.metallb_routing.metallb_labels
"""

EXAMPLES = r"""
- name: Show the L2Advertisements that fit the pools
  homeward.metallb_routing.metallb_advertisements:
    nodes: k8s_cluster
  run_once: true
"""

RETURN = r"""
advertisements:
  description: The manifests.
  type: list
  elements: dict
  returned: success
  sample: [{"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "external", "namespace": "metallb-system"},
    "spec": {"ipAddressPools": ["external"], "interfaces": ["eth0.100"]}}]
applied:
  description: What kubectl printed for each of them.
  type: list
  elements: str
  returned: success
  sample: ["l2advertisement.metallb.io/external created"]
"""
