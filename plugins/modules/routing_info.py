#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: routing_info
short_description: What a node has of ours, and what decides its case
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Reads links, addresses, settings, routes, rules and chains that M(homeward.metallb_routing.pool_routing) made on the node.
  - Tells what else of the node decides what would be done there, such as the mode of kube-proxy and the variant of iptables in use.
  - Changes nothing.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
  - homeward.metallb_routing.node.iptables_variant
options:
  protocol:
    description: Number by which our routes and rules are known.
    type: int
    default: 77
attributes:
  check_mode:
    details: This module does not change anything.
  diff_mode:
    support: N/A
    details: This module does not change anything.
seealso:
  - module: homeward.metallb_routing.pool_routing
"""

EXAMPLES = r"""
- name: Read what the node has
  homeward.metallb_routing.routing_info:
  register: node

- name: Show our rules
  ansible.builtin.debug:
    var: node.rules
"""

RETURN = r"""
links:
  description: Our links.
  type: list
  elements: dict
  returned: success
  sample: [{name: eth0.100, kind: vlan, parent: eth0, vlan_id: 100, mtu: 1500, up: true}]
addresses:
  description: Our addresses.
  type: list
  elements: dict
  returned: success
  sample: [{interface: eth0.100, address: 1.2.3.201/32}]
sysctls:
  description: Settings that we changed, with their present value and the one they had before.
  type: list
  elements: dict
  returned: success
  sample: [{name: net/ipv4/conf/eth0.100/rp_filter, value: "1", original: "0"}]
routes:
  description: Our routes.
  type: list
  elements: dict
  returned: success
  sample: [{family: ipv4, table: 7701, destination: 0.0.0.0/0, metric: 0, type: unicast, gateway: 1.2.3.1, interface: eth0.100}]
rules:
  description: Our rules.
  type: list
  elements: dict
  returned: success
  sample: [{family: ipv4, priority: 2800, action: lookup, table: 7701, fwmark: 256, fwmask: 7936}]
chains:
  description: Our chains, with the variant of iptables they are in.
  type: list
  elements: dict
  returned: success
  sample: [{variant: nft, family: ipv4, table: mangle, name: HOMEWARD-0x100, hook: "", rules: ["-j MARK --set-xmark 0x100/0x1f00"]}]
hidden_chains:
  description: Why chains of ours cannot be seen, one sentence for each table that holds such chains; they are missing in RV(chains).
  type: list
  elements: str
  returned: success
  sample: []
kube_proxy:
  description: What serves services on the node, and by which sign.
  type: dict
  returned: success
  sample: {mode: iptables, reason: there is a chain KUBE-SERVICES and no link kube-ipvs0}
iptables_variant:
  description: The variant of iptables to write with, as O(iptables_variant) says or as this node uses.
  type: str
  returned: success
  sample: nft
ssh_peer:
  description: Address at the other end of the connection that this ran over, empty if it ran over none.
  type: str
  returned: success
  sample: 192.168.1.7
ssh_interface:
  description: The link that this connection uses.
  type: str
  returned: success
  sample: eth0
api_servers:
  description: Addresses of the Kubernetes API that the node's kubelet uses.
  type: list
  elements: str
  returned: success
  sample: [192.168.1.10]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.info import read_info
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module


def main() -> None:
    """Run the module."""
    spec = {
        "protocol": {"type": "int", "default": 77},
        "iptables_variant": {"type": "str", "choices": ["auto", "nft", "legacy"], "default": "auto"},
        "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
    }
    run_module(AnsibleModule(argument_spec=spec, supports_check_mode=True), read_info)


if __name__ == "__main__":
    main()
