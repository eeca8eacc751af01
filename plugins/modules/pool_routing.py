#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_routing
short_description: Routing of MetalLB's address pools on one node, in one transaction
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Makes the node send replies from MetalLB addresses home by the way the requests came, for all its pools at once.
  - Reads the node once, plans once, and writes once. Where any step fails, all steps before it are undone.
  - Owns routes and rules of O(protocol), links with the alias C(homeward.metallb_routing), chains that begin with C(HOMEWARD-),
    and the settings that it remembers the former value of. What is no longer declared is removed; nothing else is ever changed.
  - Refuses, before anything is written, input that could cut the node off.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
  - homeward.metallb_routing.node.iptables_variant
options:
  state:
    description:
      - V(present) makes the node right for O(pools).
      - V(absent) removes everything of ours, whatever O(pools) says.
    type: str
    choices: [present, absent]
    default: present
  pools:
    description: All pools that this node serves. Needed for O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the pool, as in MetalLB's C(IPAddressPool); used in messages.
        type: str
        required: true
      networks:
        description: What MetalLB hands out, as networks C(1.2.3.0/24), ranges C(1.2.3.10-1.2.3.60) and single addresses, of both families.
        type: list
        elements: str
        required: true
      interface:
        description: The link by which requests arrive.
        type: str
        required: true
      onlink_networks:
        description:
          - Further networks that are attached to O(pools[].interface), for instance the VLAN's whole network where
            O(pools[].networks) is only a range of it.
          - A gateway must be inside O(pools[].networks) or one of these.
        type: list
        elements: str
      vlan:
        description: The 802.1Q link to create as O(pools[].interface) where it is absent. Leave it out where something else makes the link.
        type: dict
        suboptions:
          parent:
            description: The link that carries the VLAN.
            type: str
            required: true
          id:
            description: VLAN identifier, 1 to 4094.
            type: int
            required: true
          mtu:
            description: Largest packet in bytes; V(0) takes the parent's.
            type: int
            default: 0
      gateways:
        description: The routers through which outside clients are reached, at most one per family.
        type: list
        elements: str
      addresses:
        description:
          - Addresses of the pool's network for this node on O(pools[].interface), at most one per family, for routers that answer
            only to a sender inside their own network. They are added as single addresses.
          - Keep them out of what MetalLB hands out.
        type: list
        elements: str
      case:
        description:
          - V(same_subnet) needs nothing, and that is proven. V(onlink_route) adds the route to the pool's network.
            V(source_routing) sends replies back through the gateway and filters nothing but O(pools[].deny). V(policy_routing) sends them
            back likewise, and does not let forged sources in.
          - V(auto) is V(same_subnet) where the pool is part of a network attached to the interface and declares no other gateway than the
            node's default one, V(onlink_route) where no gateway is declared, and V(policy_routing) otherwise.
        type: str
        choices: [auto, same_subnet, onlink_route, source_routing, policy_routing]
        default: auto
      table:
        description: Number of the routing table; chosen from O(table_base) on where it is not given.
        type: str
      mark:
        description: Value of the packet mark, within O(mark_mask); chosen where it is not given, and kept from then on.
        type: str
      deny:
        description: Networks whose packets to the pool are refused on O(pools[].interface), for instance the nodes' LAN.
        type: list
        elements: str
      dedicated:
        description:
          - Whether O(pools[].interface) carries nothing but pools. On a dedicated interface everything else is dropped and strict
            reverse-path filtering is switched on; on a shared one only forged and denied sources are dropped.
          - Found from the node's addresses and routes where it is not given. V(true) is refused on an interface that the connection to the
            node, a default route of the main table or the way to the Kubernetes API uses.
        type: bool
      rp_filter:
        description:
          - Reverse-path filtering of the interface. V(auto) is strict on a dedicated interface and leaves a shared one as it is; requests pass
            because the check is made to take the mark into account (C(src_valid_mark)).
          - V(leave) touches neither the value nor C(src_valid_mark). V(strict), V(loose) and V(off) set the interface's value; the kernel
            uses the larger of it and that of C(all), which is never lowered.
        type: str
        choices: [auto, leave, strict, loose, 'off']
        default: auto
  cluster:
    description: The cluster around the pools.
    type: dict
    suboptions:
      pod_networks:
        description: Networks of pods; never a source on a pool's interface.
        type: list
        elements: str
      service_networks:
        description: Networks of cluster IPs; never a source on a pool's interface.
        type: list
        elements: str
      node_addresses:
        description: Addresses of all nodes; never a source on a pool's interface. The roles fill it from the inventory.
        type: list
        elements: str
      api_servers:
        description: Addresses of the Kubernetes API, which no pool may cover. Those that the node's kubelet uses are found without it.
        type: list
        elements: str
      kube_proxy_mode:
        description: How services are served here. V(auto) looks at the node. An eBPF replacement of kube-proxy is recognised and refused.
        type: str
        choices: [auto, iptables, nftables, ipvs]
        default: auto
  mark_mask:
    description: The bits of the packet mark that are ours, adjacent ones. Their number limits how many gateways there can be, 31 for V(0x1f00).
    type: str
    default: '0x1f00'
  priority_base:
    description: First of the 1,000 rule priorities that are ours, from 2000 to 31000.
    type: int
    default: 2000
  table_base:
    description: First routing table to choose, from 256 on.
    type: int
    default: 7701
  protocol:
    description:
      - Number by which our routes and rules are known, 5 to 255; it is named C(homeward) in C(/etc/iproute2/rt_protos.d).
      - A number that others use is refused, as their routes and rules would count as ours.
    type: int
    default: 77
  persist:
    description:
      - Leave the compiled state on the node (C(/var/lib/homeward.metallb_routing/state.json)), with a systemd service that restores it at
        boot, before the kubelet starts, and puts back what something else takes away. Both need neither controller nor network.
      - Where systemd does not run, this is a warning and nothing is kept.
      - V(false) takes service and files away again.
    type: bool
    default: true
  metrics_directory:
    description:
      - Directory of node_exporter's textfile collector, into which the service writes C(homeward_metallb_routing.prom).
      - Without it the file is in C(/run/homeward-metallb-routing).
    type: str
  confirm_timeout:
    description:
      - Seconds, 3600 at most, after which the node takes a change back by itself, all of it, unless a new connection from the controller
        has confirmed it. The task makes that connection itself, and fails where it cannot. V(0) confirms nothing.
      - On the node, the file C(unconfirmed.*) in C(/run/homeward.metallb_routing) stands for the change; removing it by hand confirms too, and
        so does the next run that succeeds. The task renames it to C(confirmed.*), and the node to C(taking-back.*) until all is taken
        back, which is tried for an hour where it does not succeed at once.
      - Where a connection is not over the network (V(local), containers), this shows only that the node is still there.
    type: int
    default: 0
seealso:
  - module: homeward.metallb_routing.routing_info
  - module: homeward.metallb_routing.ip_links
  - module: homeward.metallb_routing.ip_routes
  - module: homeward.metallb_routing.ip_rules
  - module: homeward.metallb_routing.iptables_chains
"""

EXAMPLES = r"""
- name: Replies from the pool go back through its own VLAN and router
  homeward.metallb_routing.pool_routing:
    pools:
      - name: external
        networks: [1.2.3.64/26, "fd00:1:2:3:1::/80"]
        onlink_networks: [1.2.3.0/24, "fd00:1:2:3::/64"]
        interface: eth0.100
        vlan: {parent: eth0, id: 100}
        gateways: [1.2.3.1, "fd00:1:2:3::1"]
    cluster:
      pod_networks: [10.112.0.0/12, "fd00:112::/32"]
      service_networks: [10.96.0.0/12, "fd00:96::/108"]
      node_addresses: [192.168.1.11, 192.168.1.12, "fd00:192:168:1::11", "fd00:192:168:1::12"]

- name: A pool on a second network card, for clients of that network only
  homeward.metallb_routing.pool_routing:
    pools:
      - {name: storage, networks: [10.9.8.10-10.9.8.60], interface: eth1, onlink_networks: [10.9.8.0/24]}

- name: A second router on the nodes' own network, under IPVS; the change is taken back unless a new connection confirms it
  homeward.metallb_routing.pool_routing:
    pools:
      - name: second
        networks: [192.168.1.224/28]
        interface: eth0
        gateways: [192.168.1.2]
        onlink_networks: [192.168.1.0/24]
        case: policy_routing
        rp_filter: leave
    cluster:
      pod_networks: [10.112.0.0/12]
      service_networks: [10.96.0.0/12]
      node_addresses: [192.168.1.11, 192.168.1.12]
      kube_proxy_mode: ipvs
    confirm_timeout: 60

- name: The node as it was before
  homeward.metallb_routing.pool_routing:
    state: absent
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or would be in check mode.
  type: bool
  returned: always
  sample: true
cases:
  description: Which case each pool is on this node, and why.
  type: list
  elements: dict
  returned: success
  sample:
    - pool: external
      case: policy_routing
      reason: replies must leave through 1.2.3.1, which is not where the node's default route goes
      interface: eth0.100
      table: 7701
      mark: 256
      dedicated: true
commands:
  description: The same change as lines that a person could type on the node, in order.
  type: list
  elements: str
  returned: success
  sample:
    - ip link add link eth0 name eth0.100 type vlan id 100
    - ip -4 route add 1.2.3.0/24 dev eth0.100 table 7701 protocol 77
confirmed:
  description: Whether a new connection has confirmed the change.
  type: bool
  returned: where something was changed and O(confirm_timeout) is not 0
  sample: true
diff:
  description: For each kind of object the sorted lines that only the old or only the new state has.
  type: dict
  returned: in diff mode
  sample:
    before: {}
    after:
      routes: ["ipv4: 1.2.3.0/24 dev eth0.100 table 7701"]
errors:
  description: What is wrong with the input, each with its path and the whole message.
  type: list
  elements: dict
  returned: when the input is refused
  sample:
    - path: pools[2].gateways[0]
      message: "pools[2].gateways[0] (pool external): 1.2.4.1 is not inside any of pools[2].networks (1.2.3.0/24)."
warnings:
  description: What should be known though the run succeeded, for instance an object that is there already and is not ours.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import argument_spec
from ansible_collections.homeward.metallb_routing.plugins.module_utils.engine import converge_pools
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import DEFAULT_PYROUTE2_PATH, run_module


def main() -> None:
    """Run the module."""
    spec = {
        **argument_spec(),
        "persist": {"type": "bool", "default": True},
        "metrics_directory": {"type": "str"},
        "confirm_timeout": {"type": "int", "default": 0},
        "pyroute2_path": {"type": "str", "default": DEFAULT_PYROUTE2_PATH},
    }
    run_module(AnsibleModule(argument_spec=spec, supports_check_mode=True), converge_pools)


if __name__ == "__main__":
    main()
