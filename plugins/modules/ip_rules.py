#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_rules
short_description: Rules of a node's routing policy database, in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Makes and removes any number of rules of both families in one call, all or none.
  - A rule is ours if it carries O(protocol). Rules of others, the kernel's own three included, are never changed.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
options:
  state:
    description:
      - V(present) makes the listed rules, V(absent) removes those of them that are ours.
    type: str
    choices: [present, absent]
    default: present
  rules:
    description: The rules. A rule has no key but all of itself; to change one, list the new one and use O(purge).
    type: list
    elements: dict
    required: true
    suboptions:
      priority:
        description: Rules are asked in ascending order, 1 to 32765.
        type: int
        required: true
      action:
        description: What to do with a packet that matches.
        type: str
        choices: [lookup, goto, nop, blackhole, unreachable, prohibit]
        default: lookup
      table:
        description: For V(lookup), number of the routing table, or V(main), V(default) or V(local).
        type: str
      goto:
        description: For V(goto), the priority to go on with, higher than the rule's own.
        type: int
      source:
        description: Network the packet comes from.
        type: str
      destination:
        description: Network the packet goes to.
        type: str
      iif:
        description: Link the packet came in by; V(lo) is the node itself.
        type: str
      oif:
        description: Link the sending socket is bound to.
        type: str
      fwmark:
        description: Mark as C(value/mask); without a mask the whole mark is compared. V(0/0x1f00) asks for packets that have no bit of the mask.
        type: str
      invert:
        description: Match where the conditions do not hold.
        type: bool
        default: false
      suppress_prefixlength:
        description: Refuse a result of at most this prefix length, and go on; from 0 to 32, or 128 for IPv6.
        type: int
      family:
        description: Needed only for IPv6 rules without source and destination.
        type: str
        choices: [ipv4, ipv6]
  protocol:
    description:
      - Number by which our rules are known, see C(/etc/iproute2/rt_protos).
      - A number that others use is refused, as their rules would count as ours. That is 77 of M(homeward.metallb_routing.pool_routing), those
        of the kernel and of administrators (0 to 4), and those of routing daemons.
    type: int
    default: 78
  purge:
    description: Remove every other rule of O(protocol).
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
  - module: homeward.metallb_routing.ip_links
  - module: homeward.metallb_routing.ip_routes
"""

EXAMPLES = r"""
- name: Marked packets leave through table 100, and no other rule of ours is there
  homeward.metallb_routing.ip_rules:
    rules:
      - {priority: 3000, fwmark: "0x100/0x1f00", table: "100"}
      - {priority: 3000, fwmark: "0x100/0x1f00", table: "100", family: ipv6}
    purge: true

- name: Requests from a link follow the main table no longer
  homeward.metallb_routing.ip_rules:
    state: absent
    rules:
      - {priority: 2700, iif: eth0.100, table: main}
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
  sample: ["ip -4 rule add priority 3000 from all fwmark 0x100/0x1f00 lookup 100 protocol 78"]
diff:
  description: For each kind of object the sorted lines that only the old or only the new state has.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      rules: ["ipv4: priority 3000 from all fwmark 0x100/0x1f00 lookup 100"]
errors:
  description: What is wrong with the input, each with its path and the whole message.
  type: list
  elements: dict
  returned: when the input is refused
  sample:
    - path: rules[0].priority
      message: "rules[0].priority: 0 is the priority of the kernel's own first rule. Give 1 to 32765."
warnings:
  description: What should be known though the run succeeded, for instance an object that is there already and is not ours.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import converge_rules
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "priority": {"type": "int", "required": True},
            "action": {
                "type": "str",
                "choices": ["lookup", "goto", "nop", "blackhole", "unreachable", "prohibit"],
                "default": "lookup",
            },
            "table": {"type": "str"},
            "goto": {"type": "int"},
            "source": {"type": "str"},
            "destination": {"type": "str"},
            "iif": {"type": "str"},
            "oif": {"type": "str"},
            "fwmark": {"type": "str"},
            "invert": {"type": "bool", "default": False},
            "suppress_prefixlength": {"type": "int"},
            "family": {"type": "str", "choices": ["ipv4", "ipv6"]},
        },
    },
    "protocol": {"type": "int", "default": 78},
    "purge": {"type": "bool", "default": False},
    "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_rules)


if __name__ == "__main__":
    main()
