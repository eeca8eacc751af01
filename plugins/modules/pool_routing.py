#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_routing
short_description: Route replies from the MetalLB address pools of a node
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Configures a node so that replies from MetalLB addresses leave through the gateway the request used. One call handles all pools
    of the node.
  - Reads the node once, computes one plan and applies it as one transaction. If a step fails, the completed steps are rolled back.
  - Manages routes and rules with protocol number O(protocol), addresses with the same protocol number, links with the alias
    C(homeward.metallb_routing), chains whose names begin with C(HOMEWARD-), and sysctls whose previous values it has recorded.
    Managed objects that are no longer declared are removed. Foreign objects are never changed.
  - Refuses input that could cut off the node before anything is written.
extends_documentation_fragment:
  - homeward.metallb_routing.node
  - homeward.metallb_routing.node.pyroute2
  - homeward.metallb_routing.node.iptables_variant
options:
  state:
    description:
      - V(present) configures the node for O(pools).
      - V(absent) removes all managed objects and ignores O(pools).
    type: str
    choices: [present, absent]
    default: present
  pools:
    description: All pools of the node. Required if O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the pool, as in MetalLB's C(IPAddressPool). Used in messages.
        type: str
        required: true
      networks:
        description:
          - Addresses that MetalLB assigns, as networks C(1.2.3.0/24), ranges C(1.2.3.10-1.2.3.60) or single addresses. Both IP families
            can be mixed.
        type: list
        elements: str
        required: true
      interface:
        description: The link on which requests arrive.
        type: str
        required: true
      onlink_networks:
        description:
          - Further networks that are directly attached to O(pools[].interface), for example the whole network of the VLAN if
            O(pools[].networks) is only a range of it.
          - A gateway must be inside O(pools[].networks) or one of these networks.
        type: list
        elements: str
      vlan:
        description:
          - The 802.1Q link to create as O(pools[].interface) if it does not exist. Omit it if something else creates the link.
          - Running network managers (systemd-networkd, NetworkManager, dhcpcd) are told before the link is created that they must not
            configure it. If one does, the change is rolled back.
        type: dict
        suboptions:
          parent:
            description: The parent link of the VLAN.
            type: str
            required: true
          id:
            description: VLAN ID, from 1 to 4094.
            type: int
            required: true
          mtu:
            description: MTU in bytes. V(0) uses the MTU of the parent.
            type: int
            default: 0
      gateways:
        description: The routers through which external clients are reached, at most one per IP family.
        type: list
        elements: str
      addresses:
        description:
          - Addresses of this node in the pool's network, at most one per IP family. They are added to O(pools[].interface) as /32 or
            /128, for routers that answer ARP only to a sender in their own network.
          - Exclude them from the addresses that MetalLB assigns.
        type: list
        elements: str
      case:
        description:
          - How the pool is reached. V(same_subnet) verifies that nothing needs to be routed. V(onlink_route) adds the route to the pool's
            network. V(source_routing) sends replies back through the gateway and drops only sources in O(pools[].deny).
            V(policy_routing) does the same and also drops forged sources.
          - V(auto) selects V(same_subnet) if the pool is part of a network attached to the interface and its gateways, if any, are the
            node's default gateways; V(onlink_route) if no gateway is declared; and V(policy_routing) otherwise.
        type: str
        choices: [auto, same_subnet, onlink_route, source_routing, policy_routing]
        default: auto
      table:
        description: Number of the routing table. By default it is O(table_base) plus the index of the mark.
        type: str
      mark:
        description: Value of the packet mark, within O(mark_mask). By default a free value is allocated, which the pool keeps.
        type: str
      deny:
        description: Source networks to drop on O(pools[].interface) if the packet is for the pool, for example the nodes' LAN.
        type: list
        elements: str
      dedicated:
        description:
          - Whether O(pools[].interface) carries nothing but pools. On a dedicated interface all other packets are dropped and strict
            reverse path filtering is enabled. On a shared interface only forged and denied sources are dropped.
          - By default this is detected. An interface is dedicated if a pool declares it with O(pools[].vlan) or if it has no addresses,
            ports and routes of other uses; an address inside the pool counts, too, unless it is in O(pools[].addresses). The plan says why.
            V(true) is refused on an interface that is used by the connection to the node, a default route of the main table, or the
            route to the Kubernetes API. On a bridge, V(true) does not drop other packets.
        type: bool
      node_services:
        description:
          - Whether connections to the node's own addresses on O(pools[].interface) are answered through O(pools[].gateways), too, for
            example SSH, NodePorts and host ports. By default they follow the routes of the node.
          - Replies to networks that the main table reaches over O(pools[].interface), to pods and to nodes are unaffected. In IPVS mode
            with O(pools[].case=source_routing), this applies to all packets from these addresses.
          - Refused if the node's default route uses O(pools[].interface) with a different gateway.
        type: bool
        default: false
      rp_filter:
        description:
          - Reverse path filtering of the interface. V(auto) is strict on a dedicated interface and leaves C(rp_filter) of a shared one
            unchanged. Requests pass because source validation takes the mark into account (C(src_valid_mark)).
          - V(leave) changes neither C(rp_filter) nor C(src_valid_mark). V(strict), V(loose) and V(off) set C(rp_filter) of the interface.
            The kernel uses the larger of this value and that of C(all), which is never changed.
        type: str
        choices: [auto, leave, strict, loose, 'off']
        default: auto
  cluster:
    description: Properties of the Kubernetes cluster.
    type: dict
    suboptions:
      pod_networks:
        description: Pod networks. Packets with such a source are dropped on a pool's interface.
        type: list
        elements: str
      service_networks:
        description: Networks of cluster IPs. Packets with such a source are dropped on a pool's interface.
        type: list
        elements: str
      node_addresses:
        description:
          - Addresses of all nodes, of both IP families. Packets with such a source are dropped on a pool's interface.
          - By default they are the addresses of O(nodes).
        type: list
        elements: str
      api_servers:
        description:
          - Addresses of the Kubernetes API servers, which no pool may cover. Those that the node's kubelet uses are detected.
        type: list
        elements: str
      kube_proxy_mode:
        description: The mode of kube-proxy. V(auto) detects it on the node. eBPF replacements of kube-proxy are detected and refused.
        type: str
        choices: [auto, iptables, nftables, ipvs]
        default: auto
  nodes:
    description:
      - The nodes of the cluster, as an inventory pattern or a list of patterns, whose addresses are the default of
        O(cluster.node_addresses). An empty string stands for the groups that P(homeward.metallb_routing.cluster_hosts#filter) finds,
        else for the hosts of the play. The roles set it to C(metallb_routing_hosts).
      - The controller reads the inventory variables C(ansible_host), C(ansible_ssh_host), C(ip), C(ip6), C(access_ip), C(access_ip6),
        C(node_ip) and C(k3s_node_ip) of these hosts, and their names, if these are addresses. If they contain no address of an IP
        family, it uses what the node answered when the playbooks asked it, or the gathered facts of a host of the play.
      - For nodes of which nothing is known in this run, for example because of C(--limit), the addresses of the last run on this node
        are kept. A warning names nodes of which there is no address, and addresses that no longer belong to a node.
      - An address that several hosts share is not used, for example that of a router that forwards ports to them.
      - If it is not set, there is no default.
    type: raw
  mark_mask:
    description:
      - The bits of the packet mark to use. They must be adjacent. Their number limits the number of gateways, 31 for V(0x1f00).
      - The run fails if a policy rule or a rule of iptables or nftables on the node uses one of these bits.
    type: str
    default: '0x1f00'
  priority_base:
    description: The first of the 1,000 rule priorities to use, from 2000 to 31000.
    type: int
    default: 2000
  table_base:
    description: The first routing table to allocate, 256 or higher.
    type: int
    default: 7701
  protocol:
    description:
      - Protocol number that marks routes and rules as managed, from 5 to 255. It is named C(homeward) in C(/etc/iproute2/rt_protos.d).
      - Numbers that other programs use are refused because their routes and rules would count as managed.
    type: int
    default: 77
  persist:
    description:
      - Store the compiled state on the node (C(/var/lib/homeward.metallb_routing/state.json)) and install a systemd service, the agent.
        The agent restores the state at boot, before kubelet starts, and reconciles it when something else changes it. It needs neither
        the controller nor the network.
      - If systemd is not running, a warning is issued and nothing is stored.
      - V(false) removes the service and its files. The files for network managers are in C(/run) then.
    type: bool
    default: true
  metrics_directory:
    description:
      - Directory of the textfile collector of node_exporter. The agent writes C(homeward_metallb_routing.prom) to it.
      - By default the file is written to C(/run/homeward-metallb-routing).
    type: str
  confirm_timeout:
    description:
      - Seconds, at most 3600, after which the node rolls back the whole change unless a new connection from the controller has confirmed
        it. The task opens this connection itself and fails if it cannot. V(0) disables confirmation.
      - While the change is unconfirmed, the node has a file C(unconfirmed.NAME) in C(/run/homeward.metallb_routing), the agent is stopped,
        and other runs wait. What the next boot reads is only written when the change is confirmed.
      - To confirm a change manually, run C(sh /run/homeward.metallb_routing/change.NAME/run commit NAME) on the node. If it has no such
        file, because it does not run systemd, remove C(unconfirmed.NAME) instead.
      - The node retries a failed rollback for up to one hour.
      - If the connection does not use the network (V(local), containers), the confirmation only shows that the node is still running.
    type: int
    default: 0
  collect_warnings:
    description: Return warnings in RV(host_warnings) instead of printing them for each host. M(homeward.metallb_routing.show_plan) prints
      each of them once, for all hosts of a play.
    type: bool
    default: false
seealso:
  - module: homeward.metallb_routing.routing_info
  - module: homeward.metallb_routing.ip_links
  - module: homeward.metallb_routing.ip_routes
  - module: homeward.metallb_routing.ip_rules
  - module: homeward.metallb_routing.iptables_chains
"""

EXAMPLES = r"""
- name: Route replies from the pool through its own VLAN and gateway
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

- name: Serve clients of a second network directly
  homeward.metallb_routing.pool_routing:
    pools:
      - {name: storage, networks: [10.9.8.10-10.9.8.60], interface: eth1, onlink_networks: [10.9.8.0/24]}

- name: Use a second router in the nodes' own network with IPVS, and roll back unless a new connection confirms the change
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

- name: Remove everything that the collection manages on the node
  homeward.metallb_routing.pool_routing:
    state: absent
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or would be changed in check mode.
  type: bool
  returned: always
  sample: true
cases:
  description:
    - The case of each pool on this node, and the reason for it. C(dedicated) and C(dedicated_reason) say whether the link carries only pools,
      and how this is known.
  type: list
  elements: dict
  returned: success
  sample:
    - pool: external
      networks: [1.2.3.66-1.2.3.78]
      case: policy_routing
      reason: replies must leave through 1.2.3.1 on eth0.100, and the node's default route uses 192.168.1.1 on eth0
      interface: eth0.100
      table: 7701
      mark: 256
      dedicated: true
      dedicated_reason: 'made for the pools; if it carries anything else, declare dedicated: false'
commands:
  description: Shell commands that are equivalent to the change, in order.
  type: list
  elements: str
  returned: success
  sample:
    - ip link add link eth0 name eth0.100 type vlan id 100
    - ip -4 route add 1.2.3.0/24 dev eth0.100 table 7701 protocol 77
confirmed:
  description: Whether a new connection has confirmed the change.
  type: bool
  returned: if something was changed and O(confirm_timeout) is not 0
  sample: true
changes:
  description: How many objects and rules of chains are added and removed. A changed one counts as both.
  type: dict
  returned: success
  sample: {added: 117, removed: 0}
diff:
  description: The objects that only the old or only the new state has, as text, by kind, in the order in which a packet meets them.
  type: dict
  returned: in diff mode
  sample:
    before: ""
    after: |
      routes:
        ipv4: 1.2.3.0/24 dev eth0.100 table 7701
node_addresses:
  description: Which addresses of nodes the run used, apart from those in O(cluster.node_addresses).
  type: dict
  returned: if O(state=present)
  contains:
    declared:
      description: Whether O(cluster.node_addresses) is declared.
      type: bool
      returned: always
      sample: false
    families:
      description: The IP families of the pools.
      type: list
      elements: str
      returned: always
      sample: [ipv4]
    kept:
      description: By node, the addresses that only an earlier run knew.
      type: dict
      returned: always
      sample: {node3: [192.168.1.13]}
errors:
  description: All errors in the input, each with its path and the complete message.
  type: list
  elements: dict
  returned: if the input is refused
  sample:
    - path: pools[2].gateways[0]
      message: "pools[2].gateways[0] (pool external): 1.2.4.1 is not inside any of pools[2].networks (1.2.3.0/24)."
warnings:
  description: Conditions that need attention although the run succeeded, for example an object that already exists and is foreign.
  type: list
  elements: str
  returned: success
  sample: []
host_warnings:
  description: The warnings that are not printed.
  type: list
  elements: str
  returned: if O(collect_warnings=true)
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.argument_spec import (
    pool_routing_options,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.engine import converge_pools
from ansible_collections.homeward.metallb_routing.plugins.module_utils.running import run_module
from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log


def main() -> None:
    """Run the module."""
    module = with_short_log(AnsibleModule)(argument_spec=pool_routing_options(), supports_check_mode=True)
    run_module(module, converge_pools)


if __name__ == "__main__":
    main()
