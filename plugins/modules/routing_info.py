#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: routing_info
short_description: Gather facts about the MetalLB routing of a node
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Returns the links, addresses, sysctls, routes, rules and chains that M(homeward.metallb_routing.pool_routing) manages on the node.
  - Returns the facts that its decisions are based on, such as the mode of kube-proxy and the iptables variant in use.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
  - homeward.metallb_routing.node.iptables_variant
options:
  protocol:
    description: Protocol number that marks routes and rules as managed.
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
- name: Gather the routing state of the node
  homeward.metallb_routing.routing_info:
  register: node

- name: Show the managed rules
  ansible.builtin.debug:
    var: node.rules
"""

RETURN = r"""
links:
  description: Managed links.
  type: list
  elements: dict
  returned: success
  sample: [{name: eth0.100, kind: vlan, parent: eth0, vlan_id: 100, mtu: 1500, up: true}]
addresses:
  description: Managed addresses.
  type: list
  elements: dict
  returned: success
  sample: [{interface: eth0.100, address: 1.2.3.201/32}]
sysctls:
  description: Managed sysctls, with their current value and the value before the collection changed them.
  type: list
  elements: dict
  returned: success
  sample: [{name: net/ipv4/conf/eth0.100/rp_filter, value: "1", original: "0"}]
routes:
  description: Managed routes.
  type: list
  elements: dict
  returned: success
  sample: [{family: ipv4, table: 7701, destination: 0.0.0.0/0, metric: 0, type: unicast, gateway: 1.2.3.1, interface: eth0.100}]
rules:
  description: Managed rules.
  type: list
  elements: dict
  returned: success
  sample: [{family: ipv4, priority: 2800, action: lookup, table: 7701, fwmark: 256, fwmask: 7936}]
chains:
  description: Managed chains, with the iptables variant they belong to.
  type: list
  elements: dict
  returned: success
  sample: [{variant: nft, family: ipv4, table: mangle, name: HOMEWARD-0x100, hook: "", rules: ["-j MARK --set-xmark 0x100/0x1f00"]}]
hidden_chains:
  description:
    - The reasons why managed chains cannot be read, one sentence per table that holds such chains. These chains are missing from
      RV(chains).
  type: list
  elements: str
  returned: success
  sample: []
kube_proxy:
  description: What serves services on the node, the evidence for it, and evidence of another mode of kube-proxy.
  type: dict
  returned: success
  sample: {mode: iptables, reason: KUBE-SERVICES jumps to the chains of services, contradiction: ""}
iptables_variant:
  description: The iptables variant to write with, as set by O(iptables_variant) or detected on the node.
  type: str
  returned: success
  sample: nft
ssh_peer:
  description: Address of the remote end of the connection that runs the module, empty if it does not use the network.
  type: str
  returned: success
  sample: 192.168.1.7
ssh_interface:
  description: The link that this connection uses.
  type: str
  returned: success
  sample: eth0
api_servers:
  description: Addresses of the Kubernetes API servers that the node's kubelet uses.
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
