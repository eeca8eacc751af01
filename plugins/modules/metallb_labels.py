#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metallb_labels
short_description: Label the nodes that are ready for pools
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Sets the label C(metallb-routing.homeward/POOL) to the name of the pool's link on each node that is configured for the pool, and removes it
    from other nodes. C(nodeSelectors) of an C(L2Advertisement) can require it, so MetalLB never elects a node that is not ready.
  - Runs once, for all hosts of the play, with kubectl on the host of the task. Needs the result of M(homeward.metallb_routing.metallb_resources),
    registered as C(metallb_routing_cluster_answer).
  - The playbooks C(apply) and C(remove) run it if C(label_nodes) is set in C(metallb_routing_metallb).
options:
  phase:
    description:
      - V(before) removes the labels of pools that a node no longer has, or has on another link.
      - V(after) sets the labels of pools that M(homeward.metallb_routing.pool_routing) has configured, according to its result, registered as
        C(metallb_routing_result). If it has created a link of a pool whose label was already set, the services of this pool get the annotation
        C(metallb-routing.homeward/link-created), so that the speakers look for the link again.
      - V(removal) removes all labels.
    type: str
    choices: [before, after, removal]
    required: true
  sources:
    description: The value of C(metallb_routing_metallb).
    type: raw
  nodes:
    description: The value of O(homeward.metallb_routing.pool_routing#module:nodes).
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
- name: Remove the labels of nodes that are about to be reinstalled
  homeward.metallb_routing.metallb_labels:
    phase: removal
    sources: {label_nodes: true}
  run_once: true
  delegate_to: "{{ groups['kube_control_plane'][0] }}"
  become: true
"""

RETURN = r"""
labels:
  description: What is changed on each node, as arguments of C(kubectl label).
  type: dict
  returned: success
  sample: {"node1": ["metallb-routing.homeward/external=eth0.100"]}
announced_again:
  description: The pools whose services got an annotation.
  type: list
  elements: str
  returned: success
  sample: []
"""
