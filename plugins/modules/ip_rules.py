#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_rules
short_description: Manage rules of the routing policy database in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Creates and removes any number of rules of both IP families in one transaction.
  - A rule is managed if its protocol number is O(protocol). Foreign rules, including the three of the kernel, are never changed.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
options:
  state:
    description:
      - V(present) creates the listed rules. V(absent) removes the listed rules that are managed.
    type: str
    choices: [present, absent]
    default: present
  rules:
    description: The rules. All attributes together identify a rule. To change one, list the new rule and use O(purge).
    type: list
    elements: dict
    required: true
    suboptions:
      priority:
        description: Priority, from 1 to 32765. Rules are evaluated in ascending order.
        type: int
        required: true
      action:
        description: What to do with a packet that matches.
        type: str
        choices: [lookup, goto, nop, blackhole, unreachable, prohibit]
        default: lookup
      table:
        description: Number of the routing table, V(main), V(default) or V(local). Only for V(lookup).
        type: str
      goto:
        description: Priority to continue with, higher than that of the rule. Only for V(goto).
        type: int
      source:
        description: Source network to match.
        type: str
      destination:
        description: Destination network to match.
        type: str
      iif:
        description: Input link to match. V(lo) matches packets that the node itself sends.
        type: str
      oif:
        description: Output link to match. Only packets of sockets that are bound to the link have one at this point.
        type: str
      fwmark:
        description: Mark to match, as C(value/mask). Without a mask the whole mark is compared. V(0/0x1f00) matches packets without any bit of the mask.
        type: str
      invert:
        description: Match packets for which the conditions do not hold.
        type: bool
        default: false
      suppress_prefixlength:
        description: Reject routing decisions with a prefix length of at most this value, from 0 to 32, or to 128 for IPv6.
        type: int
      family:
        description: Required only for IPv6 rules without source and destination.
        type: str
        choices: [ipv4, ipv6]
  protocol:
    description:
      - Protocol number that marks rules as managed, see C(/etc/iproute2/rt_protos).
      - Numbers that other programs use are refused because their rules would count as managed. These are 77, used by
        M(homeward.metallb_routing.pool_routing), 0 to 4, reserved for the kernel and administrators, and those of routing daemons.
    type: int
    default: 78
  purge:
    description: Remove every other rule whose protocol number is O(protocol).
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
  - module: homeward.metallb_routing.ip_links
  - module: homeward.metallb_routing.ip_routes
"""

EXAMPLES = r"""
- name: Send marked packets to table 100 and remove all other managed rules
  homeward.metallb_routing.ip_rules:
    rules:
      - {priority: 3000, fwmark: "0x20/0x20", table: "100"}
      - {priority: 3000, fwmark: "0x20/0x20", table: "100", family: ipv6}
    purge: true

- name: Remove a rule
  homeward.metallb_routing.ip_rules:
    state: absent
    rules:
      - {priority: 2700, iif: eth0.100, table: main}
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
  sample: ["ip -4 rule add priority 3000 from all fwmark 0x20/0x20 lookup 100 protocol 78"]
diff:
  description: The objects that only the old or only the new state has, sorted, one line each, by kind.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      rules: ["ipv4: priority 3000 from all fwmark 0x20/0x20 lookup 100"]
errors:
  description: All errors in the input, each with its path and the complete message.
  type: list
  elements: dict
  returned: if the input is refused
  sample:
    - path: rules[0].priority
      message: "rules[0].priority: 0 is the priority of the kernel's rule for the local table. Give a number from 1 to 32765."
warnings:
  description: Conditions that need attention although the run succeeded, for example an object that already exists and is foreign.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import rule_options
from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import (
    DEFAULT_PROTOCOL,
    converge_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module
from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": rule_options(),
    },
    "protocol": {"type": "int", "default": DEFAULT_PROTOCOL},
    "purge": {"type": "bool", "default": False},
    "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
}


def main() -> None:
    """Run the module."""
    module = with_short_log(AnsibleModule)(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_rules)


if __name__ == "__main__":
    main()
