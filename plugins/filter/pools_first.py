# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a play, those with pools first."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pools_first
version_added: 0.1.0
short_description: Order hosts so that those with pools come first
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns the hosts in the order of the inventory, but hosts that declare pools before those that do not. With C(serial), the
    first batch then changes something.
  - Fails if no host declares pools.
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
  limit:
    description: The value of C(--limit), that is C(ansible_limit).
    type: str
  variables:
    description: Variables of the play that declare pools. C(hostvars) does not contain variables of plays.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Configure the nodes, one before the others
  hosts: "{{ 'k8s_cluster' | homeward.metallb_routing.pools_first(hostvars, groups) }}"
  serial: [1, "100%"]
  roles:
    - homeward.metallb_routing.node
"""

RETURN = r"""
_value:
  description: Names of hosts.
  type: list
  elements: str
  sample: [node4, node5, node1]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_hosts import resolve
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_variables import with_pools_first


def pools_first(
    pattern: Any,
    hostvars: Any,
    groups: Mapping[str, Sequence[str]],
    limit: Any = None,
    variables: Mapping[str, Any] | None = None,
) -> Any:
    """Return the hosts in the order in which they are to be configured.

    :raises AnsibleFilterError: no host matches, or none declares pools.
    """
    if not hostvars:  # before the first play of a run, and where a playbook is only listed
        return pattern
    try:
        found = set(resolve(pattern, groups, groups.get("all", ()), str(limit or "")))
        hosts = [host for host in groups.get("all", ()) if host in found]
        return with_pools_first(hosts, Reader(hostvars), variables or {})
    except InputError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"pools_first": pools_first}
