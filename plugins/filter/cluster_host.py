# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host on which kubectl runs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_host
version_added: 0.1.0
short_description: Find the host that asks the cluster for MetalLB's resources
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns C(cluster_host) of C(metallb_routing_metallb), else the first host of the groups C(kube_control_plane), C(server),
    C(master) and C(masters) that is a node, else the first node.
  - Returns an empty string if the cluster is not needed.
positional: _input, hostvars, groups, sources
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
  sources:
    description: The value of C(metallb_routing_metallb) in the play. C(hostvars) does not contain variables of plays.
    type: raw
  purpose:
    description:
      - What the host is for.
      - V(resources) needs the cluster if C(cluster) or C(label_nodes) is set, V(labels) if C(label_nodes) is set.
      - V(changes) always needs it.
    type: str
    choices: [resources, labels, changes]
    default: resources
"""

EXAMPLES = r"""
- name: Show where kubectl would run
  ansible.builtin.debug:
    msg: "{{ 'k8s_cluster' | homeward.metallb_routing.cluster_host(hostvars, groups) }}"
"""

RETURN = r"""
_value:
  description: Name of a host.
  type: str
  sample: node1
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import resolve
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_cluster import host_to_ask
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_sources import VARIABLE, read_sources


def cluster_host(
    pattern: Any,
    hostvars: Any,
    groups: Mapping[str, Sequence[str]],
    sources: Any = None,
    purpose: str = "resources",
) -> str:
    """Return the host; none if the pattern or the variable is invalid, which the run for the hosts reports."""
    if not hostvars:  # before the first play of a run, and where a playbook is only listed
        return ""
    try:
        hosts = resolve(pattern, groups, groups.get("all", ()))
        reader = Reader(hostvars)
        values = (sources, *(reader.get(host, VARIABLE) for host in hosts))
        found = read_sources(next((value for value in values if not is_unset(value)), None))
        needed = {"resources": found.needs_cluster, "labels": found.label_nodes}.get(purpose, True)
        return host_to_ask(found, hosts, groups) if needed else ""
    except InputError:
        return ""


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"cluster_host": cluster_host}
