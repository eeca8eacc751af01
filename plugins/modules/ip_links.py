#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_links
short_description: VLAN, macvlan and dummy links of a node, in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Makes, changes and removes any number of links in one call, all or none.
  - A link is ours if it carries O(owner) as its alias (C(ip link set NAME alias)). Links of others are never changed;
    a link of another owner that stands where a new one must go is an error.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
options:
  state:
    description:
      - V(present) makes and changes the listed links, V(absent) removes those of them that are ours.
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
        description: What it is. V(vlan) is one of 802.1Q; V(macvlan) is made in bridge mode.
        type: str
        choices: [vlan, macvlan, dummy]
        default: vlan
      parent:
        description: The link below; needed for all but V(dummy).
        type: str
      vlan_id:
        description: VLAN identifier, 1 to 4094; needed for V(vlan).
        type: int
      mtu:
        description: Largest packet in bytes; left to the kernel where it is not given.
        type: int
      up:
        description: Whether the link is administratively up.
        type: bool
        default: true
  owner:
    description:
      - The alias by which our links are known, one line of at most 255 bytes.
      - That of M(homeward.metallb_routing.pool_routing) is refused.
    type: str
    default: homeward.metallb_routing.ip_links
  purge:
    description: Remove every other link that carries O(owner) as its alias.
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
  - module: homeward.metallb_routing.ip_routes
  - module: homeward.metallb_routing.ip_rules
"""

EXAMPLES = r"""
- name: The pool's VLAN
  homeward.metallb_routing.ip_links:
    links:
      - {name: eth0.100, parent: eth0, vlan_id: 100}

- name: This one is not needed any more
  homeward.metallb_routing.ip_links:
    state: absent
    links:
      - {name: eth0.200, parent: eth0, vlan_id: 200}

- name: Nothing of ours is left
  homeward.metallb_routing.ip_links:
    links: []
    purge: true
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or would be in check mode.
  type: bool
  returned: always
  sample: true
commands:
  description: The same change as lines that a person could type on the node, in order.
  type: list
  elements: str
  returned: success
  sample: ["ip link add link eth0 name eth0.100 type vlan id 100", "ip link set eth0.100 alias homeward.metallb_routing.ip_links", "ip link set eth0.100 up"]
diff:
  description: For each kind of object the sorted lines that only the old or only the new state has.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      links: ["eth0.100: vlan on eth0 id 100"]
errors:
  description: What is wrong with the input, each with its path and the whole message.
  type: list
  elements: dict
  returned: when the input is refused
  sample:
    - path: links[0].parent
      message: "links[0].parent: a vlan needs a link below it. Name it."
warnings:
  description: What should be known though the run succeeded, for instance an object that is there already and is not ours.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import converge_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "links": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["vlan", "macvlan", "dummy"], "default": "vlan"},
            "parent": {"type": "str"},
            "vlan_id": {"type": "int"},
            "mtu": {"type": "int"},
            "up": {"type": "bool", "default": True},
        },
    },
    "owner": {"type": "str", "default": "homeward.metallb_routing.ip_links"},
    "purge": {"type": "bool", "default": False},
    "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_links)


if __name__ == "__main__":
    main()
