# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of each group that the group of all nodes consists of."""

from __future__ import annotations

DOCUMENTATION = r"""
name: group_representatives
version_added: 0.1.0
short_description: Find one host of each group of Kubespray
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns one host of the run for each of the groups C(kube_control_plane), C(kube_node) and C(calico_rr). If the run has no
    hosts of these groups, returns its first host.
  - With C(ansible.builtin.group_by) on these hosts, a playbook can make the groups children of C(k8s_cluster), as Kubespray does
    within its own run, for any number of hosts at once.
  - Fails if the run has no hosts.
positional: _input, pattern, limit
options:
  _input:
    description: The groups of the inventory, that is C(groups).
    type: dict
    required: true
  pattern:
    description:
      - Pattern of the cluster's nodes, or a list of patterns.
      - Defaults to the groups of P(homeward.metallb_routing.cluster_hosts#filter).
    type: raw
  limit:
    description: The value of C(--limit), that is C(ansible_limit).
    type: str
"""

EXAMPLES = r"""
- name: Make the group of all nodes
  hosts: "{{ groups | homeward.metallb_routing.group_representatives(limit=ansible_limit | default(none)) }}"
  gather_facts: false
  tasks:
    - name: Make Kubespray's groups its children
      ansible.builtin.group_by:
        key: "{{ item }}"
        parents: k8s_cluster
      loop: "{{ ['kube_control_plane', 'kube_node', 'calico_rr'] | select('in', group_names) }}"
"""

RETURN = r"""
_value:
  description: Names of hosts.
  type: list
  elements: str
  sample: [node1, node4]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils import cluster_hosts
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.matching_hosts import only_lists


def group_representatives(groups: Mapping[str, Sequence[str]], pattern: Any = None, limit: Any = None) -> list[str]:
    """Return one host for each of Kubespray's groups, or the first host.

    :raises AnsibleFilterError: no host matches.
    """
    try:
        hosts = cluster_hosts.resolve(pattern, groups, groups.get("all", ()), str(limit or ""))
    except InputError as error:
        if only_lists():
            return ["all"]
        raise AnsibleFilterError(str(error)) from error
    return cluster_hosts.one_of_each_group(hosts, groups)


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"group_representatives": group_representatives}
