# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups that contain the nodes of the cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_hosts
version_added: 0.1.0
short_description: Find the groups that contain the nodes of the cluster
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns the pattern of the hosts that the playbooks of this collection run on, and fails if no host matches it.
  - The default is the first of these groups that has hosts. C(k8s_cluster); C(kube_control_plane), C(kube_node) and C(calico_rr);
    C(k3s_cluster); C(rke2_cluster); C(rke2_servers) and C(rke2_agents); C(all).
positional: _input, pattern, limit
options:
  _input:
    description: The groups of the inventory, that is C(groups).
    type: dict
    required: true
  pattern:
    description: A pattern, or a list of patterns, that replaces the default. Returned as it is.
    type: raw
  limit:
    description: The value of C(--limit), that is C(ansible_limit). At least one host must match it, too.
    type: str
"""

EXAMPLES = r"""
- name: Show the groups
  ansible.builtin.debug:
    msg: "{{ groups | homeward.metallb_routing.cluster_hosts }}"

- name: Run on the nodes of the cluster
  hosts: "{{ groups | homeward.metallb_routing.cluster_hosts(limit=ansible_limit | default(none)) }}"
  roles:
    - homeward.metallb_routing.node
"""

RETURN = r"""
_value:
  description: Names of groups, or patterns.
  type: list
  elements: str
  sample: [k8s_cluster]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils import cluster_hosts as hosts
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.matching_hosts import only_lists


def cluster_hosts(groups: Mapping[str, Sequence[str]], pattern: Any = None, limit: Any = None) -> list[str]:
    """Return the patterns of the nodes of the cluster, ``all`` if no group is known.

    :raises AnsibleFilterError: no host matches.
    """
    try:
        patterns = hosts.given_patterns(pattern) or hosts.default_groups(groups) or ["all"]
        if not only_lists():
            hosts.resolve(pattern, groups, groups.get("all", ()), str(limit or ""))
    except InputError as error:
        raise AnsibleFilterError(str(error)) from error
    return patterns


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"cluster_hosts": cluster_hosts}
