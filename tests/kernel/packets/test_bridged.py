# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames between other hosts that the node bridges pass, where the pool's link is a bridge that iptables filters.

Kubernetes requires ``bridge-nf-call-iptables=1``, so the chains see frames of guests, too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT
from tests.lab import namespaces
from tests.support.modules import warnings_of
from tests.support.namespace import Namespace
from tests.support.node import Node
from tests.support.pools import declared

PREFIXES = {4: "1.2.3.", 6: "fd00:1:2:3::"}
LENGTHS = {4: 24, 6: 64}
#: Addresses of the guest and of the other host: inside the pool, and outside
INSIDE, OUTSIDE = {4: ("20", "7"), 6: ("20", "7")}, {4: ("130", "150"), 6: ("8000", "8001")}
POOL = {
    "name": "external",
    "networks": ["1.2.3.0/26", "fd00:1:2:3::/112"],
    "onlink_networks": ["1.2.3.0/24", "fd00:1:2:3::/64"],
    "interface": "br0",
    "gateways": ["1.2.3.1", "fd00:1:2:3::1"],
}


@dataclass(frozen=True)
class Bridge:
    """A node whose bridge br0 connects a guest on the node to another host."""

    node: Node
    guest: str
    other: str

    def reaches(self, family: int, numbers: tuple[str, str], seconds: float, *, back: bool = False) -> bool:
        """Whether an echo request of the guest to the other host is answered, or the other way round."""
        source, target = (PREFIXES[family] + number for number in (numbers[::-1] if back else numbers))
        ping = f"ip netns exec {self.other if back else self.guest} ping -{family} -n -c 1 -W {seconds} -I {source} {target}"
        return subprocess.run(ping.split(), capture_output=True, check=False).returncode == 0


@pytest.fixture
def bridge(node: Node) -> Iterator[Bridge]:
    """The bridge; eth1 leads to the other host."""
    other = node.namespace("peer")
    with Namespace("homeward-bridge-guest") as guest:
        node.host.run("ip link add br0 type bridge mcast_snooping 0")
        namespaces.ip_batch([f"link add guest0 type veth peer name eth0 netns {guest.name}"], node.name)
        for name in ("eth1", "guest0"):
            node.host.run(f"ip link set {name} master br0 up")
        node.host.run("ip link set br0 up")
        for program in ("iptables", "ip6tables"):
            node.host.set_sysctl(f"net/bridge/bridge-nf-call-{program}", 1)
        namespaces.write_sysctls(other, {"net/ipv6/conf/eth1/disable_ipv6": 0})
        for name, link, position in ((guest.name, "eth0", 0), (other, "eth1", 1)):
            lines = [f"link set {link} up"]
            for numbers in (INSIDE, OUTSIDE):
                for family, prefix in PREFIXES.items():
                    nodad = " nodad" if family == 6 else ""
                    lines.append(f"address add {prefix}{numbers[family][position]}/{LENGTHS[family]} dev {link}{nodad}")
            namespaces.ip_batch(lines, name)
        yield Bridge(node, guest.name, other)


@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
@pytest.mark.parametrize("dedicated", [None, True, False], ids=["inferred", "dedicated", "shared"])
def test_frames_between_other_hosts_pass(bridge: Bridge, dedicated: bool | None, case: str) -> None:
    declaration = {**POOL, "case": case, **({} if dedicated is None else {"dedicated": dedicated})}
    answer = bridge.node.change("pool_routing", declared(declaration))
    for numbers in (INSIDE, OUTSIDE):
        for family in PREFIXES:
            for back in (False, True):
                assert bridge.reaches(family, numbers[family], TIMEOUT, back=back), (numbers, family, back)
    assert answer["cases"][0]["dedicated"] is (dedicated is True)
    warned = [text for text in warnings_of(answer) if "pools[0].dedicated: br0 is a bridge" in text]
    assert len(warned) == (dedicated is True and case == "policy_routing")


def test_frames_are_filtered_by_the_nodes_iptables(bridge: Bridge) -> None:
    """The control: a rule of the guard would drop them."""
    bridge.node.host.run("iptables -w -t raw -I PREROUTING -i br0 -d 1.2.3.150 -j DROP")
    assert not bridge.reaches(4, OUTSIDE[4], LOST_TIMEOUT)
    assert bridge.reaches(6, OUTSIDE[6], TIMEOUT)


def test_the_match_for_bridged_frames_is_used_only_on_bridges(node: Node) -> None:
    """It makes the kernel filter bridged frames of the whole machine."""
    node.change("pool_routing", declared({**POOL, "interface": "eth0.100"}))
    assert "physdev" not in node.host.output("iptables-save; ip6tables-save")
