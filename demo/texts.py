# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demonstration tells about the lab, the declaration and its tables."""

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

A request to a service comes by poolrouter and eth0.100. Unless told otherwise a node sends the reply by eth0 to its
default router, `router`, which never saw the request and drops the reply. With rp_filter 1 or 2 the node drops the IPv4
request already, as it would not answer that way; here rp_filter is {rp_filter}. IPv6 has the same networks, fd00:1:2:3::/64
and so on. All of it is network namespaces of this machine, with the rules that kube-proxy 1.36 wrote in {mode} mode."""

#: Ranges around what the lab's services have: 1.2.3.4 to 1.2.3.22, fd00:1:2:3::20 to ::22.
DECLARATION = """\
metallb_routing_pools:
  - name: external
    networks: [1.2.3.4-1.2.3.31, "fd00:1:2:3::20/123"]   # what MetalLB hands out
    onlink_networks: [1.2.3.0/24, "fd00:1:2:3::/64"]     # the whole network of the VLAN
    interface: eth0.100                                  # is there already; `vlan` would make it
    gateways: [1.2.3.1, "fd00:1:2:3::1"]                 # poolrouter
metallb_routing_cluster:
  pod_networks: [10.112.0.0/12, "fd00:112::/32"]
  service_networks: [10.96.0.0/12, "fd00:96::/108"]
metallb_routing_persist: false                           # a namespace has no systemd to keep the state with
"""

LEGEND = """\
columns  the clients of the picture; rows: services with externalTrafficPolicy Cluster (cl) or Local (lo), served by
         pods of both nodes (both), of one (p1) or by a host (host1); ds: with IPv6 too
cells    reached, and the router by which the replies left: pool, default (the wrong one) or direct (by none of the
         two); no: not reached, in brackets where a lost reply was seen"""

#: One service of each kind and family; all of them are tried and counted.
SHOWN = {4: ("cl-both", "lo-both", "cl-host1", "lo-host1"), 6: ("ds-cl-p1", "ds-lo-p1")}
