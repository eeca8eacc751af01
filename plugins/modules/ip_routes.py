#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_routes
short_description: Routes of a node, in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Makes, changes and removes any number of routes of both families in one call, all or none.
  - A route is ours if it carries O(protocol). Routes of others are never changed; a different route of another owner that has
    the same destination, table and metric is an error, an identical one is left as it is.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
options:
  state:
    description:
      - V(present) makes and changes the listed routes, V(absent) removes those of them that are ours.
    type: str
    choices: [present, absent]
    default: present
  routes:
    description: The routes.
    type: list
    elements: dict
    required: true
    suboptions:
      destination:
        description: Network as C(address/length), or V(default).
        type: str
        required: true
      table:
        description: Number of the routing table, or V(main) or V(default). The table local is the kernel's own.
        type: str
        default: main
      type:
        description: What the kernel does with a packet that matches.
        type: str
        choices: [unicast, unreachable, blackhole, prohibit, throw]
        default: unicast
      gateway:
        description: Next hop; without one the destination is on the link itself.
        type: str
      interface:
        description: The link the packets leave by; needed for V(unicast).
        type: str
      metric:
        description: The lower one of two routes to the same destination is used. The kernel makes 1024 of 0 for IPv6.
        type: int
      onlink:
        description: Take the gateway as reachable on the link though no route says so.
        type: bool
        default: false
      source:
        description: Source address of packets that the node itself sends by this route.
        type: str
      family:
        description: Needed only where O(routes[].destination) is V(default) and nothing else tells the family.
        type: str
        choices: [ipv4, ipv6]
  protocol:
    description:
      - Number by which our routes are known, see C(/etc/iproute2/rt_protos).
      - A number that others use is refused, as their routes would count as ours. That is 77 of M(homeward.metallb_routing.pool_routing), those
        of the kernel and of administrators (0 to 4), and those of routing daemons.
    type: int
    default: 78
  purge:
    description: Remove every other route of O(protocol), in all tables.
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
  - module: homeward.metallb_routing.ip_links
  - module: homeward.metallb_routing.ip_rules
"""

EXAMPLES = r"""
- name: A table that leads to the pool's router
  homeward.metallb_routing.ip_routes:
    routes:
      - {destination: 1.2.3.0/24, interface: eth0.100, table: "100"}
      - {destination: default, gateway: 1.2.3.1, interface: eth0.100, table: "100"}
      - {destination: default, type: unreachable, metric: 4294967294, table: "100"}

- name: These two are not needed any more, other routes of ours stay
  homeward.metallb_routing.ip_routes:
    state: absent
    routes:
      - {destination: 10.9.8.0/24, interface: eth1}
      - {destination: default, type: unreachable, metric: 4294967294, table: "100", family: ipv6}

- name: No route of this play's number is left
  homeward.metallb_routing.ip_routes:
    protocol: 201
    routes: []
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
  sample: ["ip -4 route add 1.2.3.0/24 dev eth0.100 table 100 protocol 78"]
diff:
  description: For each kind of object the sorted lines that only the old or only the new state has.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      routes: ["ipv4: 1.2.3.0/24 dev eth0.100 table 100"]
errors:
  description: What is wrong with the input, each with its path and the whole message.
  type: list
  elements: dict
  returned: when the input is refused
  sample:
    - path: routes[0].interface
      message: "routes[0].interface: a unicast route needs the link it leaves by. Name it, or give another type."
warnings:
  description: What should be known though the run succeeded, for instance an object that is there already and is not ours.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import converge_routes
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "routes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "destination": {"type": "str", "required": True},
            "table": {"type": "str", "default": "main"},
            "type": {
                "type": "str",
                "choices": ["unicast", "unreachable", "blackhole", "prohibit", "throw"],
                "default": "unicast",
            },
            "gateway": {"type": "str"},
            "interface": {"type": "str"},
            "metric": {"type": "int"},
            "onlink": {"type": "bool", "default": False},
            "source": {"type": "str"},
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
    run_module(module, converge_routes)


if __name__ == "__main__":
    main()
