#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_links
short_description: Manage VLAN, macvlan and dummy links in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Creates, changes and removes any number of links in one transaction.
  - A link is managed if its alias is O(owner) (C(ip link set NAME alias)). Foreign links are never changed.
    A foreign link with the name of a link to create is an error.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
options:
  state:
    description:
      - V(present) creates and changes the listed links. V(absent) removes the listed links that are managed.
    type: str
    choices: [present, absent]
    default: present
  links:
    description: The links.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the link, at most 15 characters.
        type: str
        required: true
      kind:
        description: Type of the link. V(vlan) creates an 802.1Q link. V(macvlan) uses bridge mode.
        type: str
        choices: [vlan, macvlan, dummy]
        default: vlan
      parent:
        description: The parent link. Required for V(vlan) and V(macvlan).
        type: str
      vlan_id:
        description: VLAN ID, from 1 to 4094. Required for V(vlan).
        type: int
      mtu:
        description: MTU in bytes. By default it is left to the kernel.
        type: int
      up:
        description: Whether the link is administratively up.
        type: bool
        default: true
  owner:
    description:
      - The alias that marks links as managed, a single line of at most 255 bytes.
      - The alias used by M(homeward.metallb_routing.pool_routing) is refused.
    type: str
    default: homeward.metallb_routing.ip_links
  purge:
    description: Remove every other link whose alias is O(owner).
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
  - module: homeward.metallb_routing.ip_routes
  - module: homeward.metallb_routing.ip_rules
"""

EXAMPLES = r"""
- name: Create the VLAN link of a pool
  homeward.metallb_routing.ip_links:
    links:
      - {name: eth0.100, parent: eth0, vlan_id: 100}

- name: Remove a link
  homeward.metallb_routing.ip_links:
    state: absent
    links:
      - {name: eth0.200, parent: eth0, vlan_id: 200}

- name: Remove all managed links
  homeward.metallb_routing.ip_links:
    links: []
    purge: true
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or would be changed in check mode.
  type: bool
  returned: always
  sample: true
commands:
  description: Shell commands that are equivalent to the change, in order.
  type: list
  elements: str
  returned: success
  sample: ["ip link add link eth0 name eth0.100 type vlan id 100", "ip link set eth0.100 alias homeward.metallb_routing.ip_links", "ip link set eth0.100 up"]
diff:
  description: The objects that only the old or only the new state has, sorted, one line each, by kind.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      links: ["eth0.100: vlan on eth0 id 100"]
errors:
  description: All errors in the input, each with its path and the complete message.
  type: list
  elements: dict
  returned: if the input is refused
  sample:
    - path: links[0].parent
      message: "links[0].parent: a vlan link needs a parent. Give the name of the link below it."
warnings:
  description: Conditions that need attention although the run succeeded, for example an object that already exists and is foreign.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import link_options
from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import converge_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module
from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "links": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": link_options(),
    },
    "owner": {"type": "str", "default": "homeward.metallb_routing.ip_links"},
    "purge": {"type": "bool", "default": False},
    "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
}


def main() -> None:
    """Run the module."""
    module = with_short_log(AnsibleModule)(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_links)


if __name__ == "__main__":
    main()
