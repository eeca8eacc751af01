# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes that have to be asked for their addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: silent_nodes
version_added: 0.1.0
short_description: Find the nodes whose addresses are not in the inventory
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns the hosts of which the inventory contains no address, or none of an IP family that pools have.
  - The playbooks of this collection ask these nodes for their addresses.
  - Returns no host if C(metallb_routing_cluster) contains C(node_addresses).
positional: _input, hostvars, groups
options:
  _input:
    description: Pattern of the cluster's nodes, or a list of patterns.
    type: raw
    required: true
  hostvars:
    description: The variables of all hosts, that is C(hostvars).
    type: dict
    required: true
  groups:
    description: The groups of the inventory, that is C(groups).
    type: dict
    required: true
  variables:
    description: Variables of the play that declare pools or the cluster. C(hostvars) does not contain variables of plays.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Ask nodes for the addresses that the inventory lacks
  hosts: "{{ 'k8s_cluster' | homeward.metallb_routing.silent_nodes(hostvars, groups) }}"
  gather_facts: false
  tasks:
    - name: Ask the node for its addresses
      ansible.builtin.import_role:
        name: homeward.metallb_routing.node
        tasks_from: addresses
"""

RETURN = r"""
_value:
  description: Names of hosts, in the order of the inventory.
  type: list
  elements: str
  sample: [node3]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import resolve
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_variables import silent_nodes as find


def silent_nodes(
    pattern: Any, hostvars: Any, groups: Mapping[str, Sequence[str]], variables: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the hosts to ask; none if the pattern is invalid, which the run for the hosts reports."""
    if not hostvars:  # before the first play of a run, and where a playbook is only listed
        return []
    try:
        hosts = resolve(pattern, groups, groups.get("all", ()))
    except InputError:
        return []
    return find(hosts, Reader(hostvars), variables or {})


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"silent_nodes": silent_nodes}
