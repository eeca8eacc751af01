# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of hosts from their inventory variables."""

from __future__ import annotations

DOCUMENTATION = r"""
name: node_addresses
version_added: 0.1.0
short_description: Extract the addresses of hosts from their inventory variables
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns the addresses of both IP families that the inventory variables of the given hosts contain.
  - Host names are ignored because their addresses can change between two runs. Loopback and link-local addresses and values that
    are not addresses are ignored, too. A host whose name is an address has this address.
  - O(homeward.metallb_routing.pool_routing#module:nodes) reads the same variables.
positional: hostvars
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, that is C(hostvars).
    type: dict
    required: true
  variables:
    description:
      - The variables to read. The value of each can be an address, several addresses separated by commas, or a list.
      - The default contains the variables of Ansible, of Kubespray and of playbooks for k3s.
    type: list
    elements: str
    default: [ansible_host, ansible_ssh_host, ip, ip6, access_ip, access_ip6, node_ip, k3s_node_ip]
seealso:
  - plugin: ansible.builtin.inventory_hostnames
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Show the addresses of the cluster's nodes
  ansible.builtin.debug:
    msg: "{{ groups['k8s_cluster'] | homeward.metallb_routing.node_addresses(hostvars) }}"

- name: Show the addresses in a single variable
  ansible.builtin.debug:
    msg: "{{ groups['k8s_cluster'] | homeward.metallb_routing.node_addresses(hostvars, variables=['internal_ip']) }}"
"""

RETURN = r"""
_value:
  description: The addresses in their shortest form, without duplicates, IPv4 before IPv6, in ascending order.
  type: list
  elements: str
  sample: [192.168.1.11, 192.168.1.12, "fd00:192:168:1::11"]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.homeward.metallb_routing.plugins.plugin_utils import inventory_addresses


def node_addresses(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    variables: Sequence[str] = inventory_addresses.VARIABLES,
) -> list[str]:
    """Return the addresses in these variables of the hosts.

    :raises AnsibleFilterError: the hosts are not a list, or one of them is not in the inventory.
    """
    try:
        return inventory_addresses.node_addresses(hosts, hostvars, variables)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"node_addresses": node_addresses}
