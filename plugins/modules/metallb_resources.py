#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metallb_resources
short_description: Read MetalLB's resources and the labels of the nodes from a cluster
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Reads all C(IPAddressPool), C(L2Advertisement) and C(BGPAdvertisement) resources, and the names, addresses and labels of the nodes.
  - Uses M(kubernetes.core.k8s_info) if that collection is installed and can ask from the host of the task. Otherwise runs C(kubectl),
    C(k3s kubectl), C(microk8s kubectl), C(k0s kubectl) or the C(kubectl) of RKE2 there. Needs no Python on the host in this case.
  - The playbooks of this collection run it once for all nodes if C(metallb_routing_metallb) requires it. The roles read its result, registered
    as C(metallb_routing_cluster_answer).
options:
  sources:
    description: The value of C(metallb_routing_metallb). C(kubectl), C(kubeconfig) and C(namespace) are read.
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
- name: Ask the cluster for MetalLB's resources
  homeward.metallb_routing.metallb_resources:
    sources: "{{ metallb_routing_metallb }}"
  register: metallb_routing_cluster_answer
  run_once: true
  delegate_to: "{{ groups['kube_control_plane'][0] }}"
  become: true
"""

RETURN = r"""
resources:
  description: The resources, without their state.
  type: list
  elements: dict
  returned: success
  sample: [{"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "external"}, "spec": {"addresses": ["1.2.3.0/24"]}}]
nodes:
  description: The nodes; of their labels, those that the resources mention and those of this collection.
  type: list
  elements: dict
  returned: success
  sample: [{"name": "node1", "labels": {"zone": "edge"}, "addresses": ["192.168.1.11", "node1"]}]
asked_with:
  description: V(kubectl) or V(kubernetes.core.k8s_info).
  type: str
  returned: success
  sample: kubectl
"""
