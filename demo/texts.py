# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of the demonstration, and the declaration."""

from __future__ import annotations

PICTURE = """\
                          outside .50
                               |
    ------------------ internet 203.0.113.0/24 ------------------
            |                                    |
        router .1                          poolrouter .2
            |                                    |
    -- LAN 192.168.1.0/24 --        -- VLAN 100, pool 1.2.3.0/24 --
       |       |        |                |          |         |
    lan .50    |        |            eth0.100   eth0.100  onlink .50
               |        |             of node1   of node2
           node1 .11  node2 .12
               |        |
             pod1      pod2        (and the pods that serve)

Requests to a service arrive through poolrouter on eth0.100. By default, a node sends the reply through eth0 to its default
router, `router`, which did not see the request and drops the reply. With rp_filter 1 or 2, the node already drops the IPv4
request, because its route to the client leaves through another link; here rp_filter is {rp_filter}. IPv6 uses corresponding
networks, such as fd00:1:2:3::/64. All hosts are network namespaces on this machine, with the rules of kube-proxy 1.36 in
{mode} mode."""

#: The services of the lab have 1.2.3.4 to 1.2.3.22 and fd00:1:2:3::20 to ::22.
DECLARATION = """\
metallb_routing_pools:
  - name: external
    networks: [1.2.3.4-1.2.3.31, "fd00:1:2:3::20/123"]   # addresses that MetalLB assigns
    onlink_networks: [1.2.3.0/24, "fd00:1:2:3::/64"]     # the whole network of the VLAN
    interface: eth0.100                                  # exists; `vlan` would create it
    gateways: [1.2.3.1, "fd00:1:2:3::1"]                 # poolrouter
metallb_routing_cluster:
  pod_networks: [10.112.0.0/12, "fd00:112::/32"]
  service_networks: [10.96.0.0/12, "fd00:96::/108"]
metallb_routing_persist: false                           # namespaces have no systemd
"""

LEGEND = """\
columns  clients
rows     services with externalTrafficPolicy Cluster (cl) or Local (lo), with endpoints in pods on both nodes (both), in
         a pod on one node (p1) or on a host (host1); ds: dual-stack
cells    the router through which the replies left: pool, default (the wrong one) or direct (neither);
         no: not reached, and in parentheses where a lost reply was seen"""

#: Services in the short table; all services are tried and counted.
SHOWN = {4: ("cl-both", "lo-both", "cl-host1", "lo-host1"), 6: ("ds-cl-p1", "ds-lo-p1")}
