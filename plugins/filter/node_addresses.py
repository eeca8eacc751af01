# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of hosts, as the inventory tells them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: node_addresses
version_added: 0.1.0
short_description: Addresses of hosts that their inventory variables tell
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns the addresses, of both families, that the inventory variables of some hosts name.
  - Names of hosts are left out, because their addresses may change between two runs, and so are addresses of loopback.
  - The C(node) role finds O(homeward.metallb_routing.pool_routing#module:cluster.node_addresses) with it.
positional: hostvars
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts, C(hostvars) itself.
    type: dict
    required: true
  variables:
    description:
      - Variables to look at. Each may be an address, several separated by commas, or a list.
      - The default has Ansible's own, those of Kubespray and those usual with k3s.
    type: list
    elements: str
    default: [ansible_host, ip, ip6, access_ip, access_ip6, node_ip]
seealso:
  - plugin: ansible.builtin.inventory_hostnames
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Show the addresses of the cluster's nodes
  ansible.builtin.debug:
    msg: "{{ groups['k8s_cluster'] | homeward.metallb_routing.node_addresses(hostvars) }}"

- name: Show what one variable says alone
  ansible.builtin.debug:
    msg: "{{ groups['k8s_cluster'] | homeward.metallb_routing.node_addresses(hostvars, variables=['internal_ip']) }}"
"""

RETURN = r"""
_value:
  description: The addresses in their shortest form, each once, IPv4 before IPv6, in ascending order.
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
    """Return the addresses that these variables of the hosts name.

    :raises AnsibleFilterError: the hosts are not a list, or one of them is not in the inventory.
    """
    try:
        return inventory_addresses.node_addresses(hosts, hostvars, variables)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"node_addresses": node_addresses}
