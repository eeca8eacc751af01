#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_routes
short_description: Manage routes in bulk
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Creates, changes and removes any number of routes of both IP families in one transaction.
  - A route is managed if its protocol number is O(protocol). Foreign routes are never changed. A different foreign route with the
    same destination, table and metric is an error. An identical one is left unchanged.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
options:
  state:
    description:
      - V(present) creates and changes the listed routes. V(absent) removes the listed routes that are managed.
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
        description: Destination network as C(address/length), or V(default).
        type: str
        required: true
      table:
        description: Number of the routing table, V(main) or V(default). The local table is reserved for the kernel.
        type: str
        default: main
      type:
        description: Type of the route, see C(ip-route(8)).
        type: str
        choices: [unicast, unreachable, blackhole, prohibit, throw]
        default: unicast
      gateway:
        description: Next hop. Without one the destination is directly attached to the link.
        type: str
      interface:
        description: Output link. Required for V(unicast).
        type: str
      metric:
        description:
          - Metric of the route. Of two routes to the same destination, the one with the lower metric is used. For IPv6 the kernel replaces
            0 by 1024.
        type: int
      onlink:
        description: Treat the next hop as directly attached to the link even if no route says so.
        type: bool
        default: false
      source:
        description: Preferred source address of packets that the node sends over this route.
        type: str
      family:
        description:
          - IP family of a route to V(default) without O(routes[].gateway) and O(routes[].source). V(ipv4) by default.
          - For all other routes, the addresses determine it.
        type: str
        choices: [ipv4, ipv6]
  protocol:
    description:
      - Protocol number that marks routes as managed, see C(/etc/iproute2/rt_protos).
      - Numbers that other programs use are refused because their routes would count as managed. These are 77, used by
        M(homeward.metallb_routing.pool_routing), 0 to 4, reserved for the kernel and administrators, and those of routing daemons.
    type: int
    default: 78
  purge:
    description: Remove every other route whose protocol number is O(protocol), in all tables.
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.pool_routing
  - module: homeward.metallb_routing.ip_links
  - module: homeward.metallb_routing.ip_rules
"""

EXAMPLES = r"""
- name: Fill a routing table that leads to the pool's gateway
  homeward.metallb_routing.ip_routes:
    routes:
      - {destination: 1.2.3.0/24, interface: eth0.100, table: "100"}
      - {destination: default, gateway: 1.2.3.1, interface: eth0.100, table: "100"}
      - {destination: default, type: unreachable, metric: 4294967294, table: "100"}

- name: Remove two routes and keep the other managed ones
  homeward.metallb_routing.ip_routes:
    state: absent
    routes:
      - {destination: 10.9.8.0/24, interface: eth1}
      - {destination: default, type: unreachable, metric: 4294967294, table: "100", family: ipv6}

- name: Remove all routes with protocol number 201
  homeward.metallb_routing.ip_routes:
    protocol: 201
    routes: []
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
  sample: ["ip -4 route add 1.2.3.0/24 dev eth0.100 table 100 protocol 78"]
diff:
  description: The objects that only the old or only the new state has, sorted, one line each, by kind.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      routes: ["ipv4: 1.2.3.0/24 dev eth0.100 table 100"]
errors:
  description: All errors in the input, each with its path and the complete message.
  type: list
  elements: dict
  returned: if the input is refused
  sample:
    - path: routes[0].interface
      message: "routes[0].interface: a unicast route needs an interface. Give the link that packets leave through, or another type."
warnings:
  description: Conditions that need attention although the run succeeded, for example an object that already exists and is foreign.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import route_options
from ansible_collections.homeward.metallb_routing.plugins.module_utils.object_modules import (
    DEFAULT_PROTOCOL,
    converge_routes,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module
from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "routes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": route_options(),
    },
    "protocol": {"type": "int", "default": DEFAULT_PROTOCOL},
    "purge": {"type": "bool", "default": False},
    "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
}


def main() -> None:
    """Run the module."""
    module = with_short_log(AnsibleModule)(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run_module(module, converge_routes)


if __name__ == "__main__":
    main()
