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
  - Returns the groups whose hosts the playbooks of this collection run on by default. These are C(k8s_cluster), else
    C(k3s_cluster), else C(kube_control_plane) and C(kube_node), else C(all).
positional: _input
options:
  _input:
    description: The groups of the inventory, that is C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the groups
  ansible.builtin.debug:
    msg: "{{ groups | homeward.metallb_routing.cluster_hosts }}"
"""

RETURN = r"""
_value:
  description: Names of groups.
  type: list
  elements: str
  sample: [k8s_cluster]
"""

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import default_groups


def cluster_hosts(groups: Iterable[str]) -> list[str]:
    """Return the groups that contain the nodes of the cluster, ``all`` if no such group is known."""
    return default_groups(groups) or ["all"]


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"cluster_hosts": cluster_hosts}
