# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole delivery matrices on nodes whose own routing or filters differ from the usual.

A request must travel as an unmarked packet would, and a reply must pass the filters of other programs.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.kernel.delivery.lab import (
    LOST_TIMEOUT,
    TIMEOUT,
    apply,
    assert_all_reached,
    assert_matrix,
    lab_of,
    pool_of,
)
from tests.lab import Cell, Lab
from tests.lab.delivery import all_cells
from tests.support.modules import warnings_of

#: Filters of other programs that look up the source of a packet with its mark, behind mangle, as firewalld does for IPv6
#: (IPv6_rpfilter=strict). Neighbour discovery has no mark and is accepted first.
STRICT_FILTER = """
table inet strict {
 chain prerouting {
  type filter hook prerouting priority filter + 10; policy accept;
  icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
  fib saddr . mark . iif oif missing counter drop
 }
}
"""
#: Pods of other nodes are only in a table of a VPN, as with k3s and Tailscale. N is the other node's number.
VPN_ROUTES = """
ip -4 route del 10.112.N.0/24
ip -6 route del fd00:112:N::/64
ip -4 route add 10.112.N.0/24 via 192.168.1.1N table 52
ip -6 route add fd00:112:N::/64 via fd00:192:168:1::1N table 52
ip -4 rule add priority 5270 lookup 52
ip -6 rule add priority 5270 lookup 52
"""
#: The default routes do not use the link that carries the cluster's network and the pool.
OTHER_DEFAULT = """
ip link add uplink type veth peer name downlink
ip link set uplink up
ip link set downlink up
ip -4 route replace default dev uplink
ip -6 route del default
ip -6 route add default dev uplink
sysctl -q -w net/ipv4/conf/uplink/rp_filter=1
"""
SHARED = pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
MODES = pytest.mark.parametrize("mode", ["iptables", "nftables"])


def prepare(lab: Lab, commands: str) -> None:
    """Run the commands on each node."""
    for node, other in zip(lab.nodes, ("2", "1"), strict=True):
        for line in filter(None, commands.replace("N", other).splitlines()):
            node.run(line)


def add_filter(lab: Lab) -> None:
    """Add the strict filter to each node, and routes to the pool's network, which answers of the gateway need."""
    for node in lab.nodes:
        node.run(["nft", "-f", "-"], stdin=STRICT_FILTER)
        node.run(f"ip -6 route replace fd00:1:2:3::/64 dev {lab.options.pool_interface}")
        node.run(f"ip -4 route replace 1.2.3.0/24 dev {lab.options.pool_interface}")


@SHARED
@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
def test_pods_may_be_reached_through_a_foreign_table(case: str, shared: bool) -> None:
    with lab_of(kube_proxy="iptables", rp_filter=1, shared_link=shared) as lab:
        prepare(lab, VPN_ROUTES)
        apply(lab, pool_of(lab, case=case))
        assert_matrix(lab)


@MODES
@pytest.mark.parametrize("valid_mark", [0, 1])
def test_endpoints_may_be_behind_the_link_of_the_pool(mode: str, valid_mark: int) -> None:
    """The node's default route uses another link, so strict source validation needs the gateway's table."""
    with lab_of(kube_proxy=mode, rp_filter=1, shared_link=True) as lab:
        prepare(lab, OTHER_DEFAULT)
        for node in lab.nodes:
            node.set_sysctl("net/ipv4/conf/all/src_valid_mark", valid_mark)
        apply(lab)
        assert_matrix(lab)


@SHARED
@MODES
def test_replies_pass_a_filter_that_looks_up_their_mark(mode: str, shared: bool) -> None:
    with lab_of(kube_proxy=mode, rp_filter=1, shared_link=shared) as lab:
        add_filter(lab)
        apply(lab)
        assert_matrix(lab)


def test_processes_of_a_node_without_a_default_route_are_named_and_served_with_any() -> None:
    """The kernel looks up a route before a packet gets its mark; which one it finds does not matter."""
    with lab_of(kube_proxy="iptables", rp_filter=1) as lab:
        own = pool_of(lab, networks=["1.2.3.0/24"], gateways=["1.2.3.1"])
        for node in lab.nodes:
            node.run("ip -4 route del default")
        for answer in apply(lab, own):
            (text,) = [one for one in warnings_of(answer) if "default route" in one]
            assert text.startswith("pools[0].networks: the node has no IPv4 default route, so its own processes cannot")
        host, pod = lab.deliver([Cell("outside", "lo-host1"), Cell("outside", "lo-p1")], timeout=LOST_TIMEOUT)
        assert (host.reached, pod.reached) == (False, True)
        for node in lab.nodes:
            node.run("ip link add other type veth peer name far; ip link set other up; ip link set far up")
            node.run("ip -4 route add default dev other")
        assert "default route" not in str([warnings_of(answer) for answer in apply(lab, own)])
        assert_all_reached(lab, lab.deliver(all_cells(lab, ["outside"], families=[4]), timeout=TIMEOUT))


def test_many_nodes_make_few_rules() -> None:
    """A packet passes as many rules in a cluster of a thousand nodes as in one of two."""
    addresses = [f"10.{number // 250}.{number % 250}.7" for number in range(1000)]
    with lab_of(shared_link=True) as lab:
        node = lab.nodes[0]
        counts: dict[int, Mapping[str, int]] = {}
        for number in (2, 1000):
            cluster = {"pod_networks": ["10.112.0.0/12"], "node_addresses": ["192.168.1.11", *addresses[: number - 1]]}
            apply(lab, pool_of(lab, networks=["1.2.3.0/24"], gateways=["1.2.3.1"]), cluster=cluster)
            counts[number] = {"rules": len(node.output("ip -4 rule").splitlines())}
        assert counts[2] == counts[1000]
