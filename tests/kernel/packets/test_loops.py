# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets to an address or port of the pool that no service has are dropped by the first node; they do not loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT, apply, lab_of, pool_of
from tests.kernel.packets.lab import CLIENTS
from tests.lab import Lab, packets
from tests.lab.packets import Packet, Sniffer
from tests.lab.topology import POD_GATEWAY_MAC

FAMILIES = (4, 6)
PORT = 9999
#: An address with a service on another port, and one that no service has
SERVICE, UNUSED = {4: "1.2.3.7", 6: "fd00:1:2:3::21"}, {4: "1.2.3.99", 6: "fd00:1:2:3::99"}
LOOPS = 10
UNTRACKED = f"""
table inet untracked {{
 chain prerouting {{ type filter hook prerouting priority -300; tcp dport {PORT} notrack; }}
}}
"""


@pytest.fixture(scope="module", params=["dedicated", "shared", "dedicated-source_routing", "shared-source_routing"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with the pool applied."""
    link, _, case = request.param.partition("-")
    with lab_of(shared_link=link == "shared", rp_filter=0) as made:
        apply(made, pool_of(made, case=case or None))
        yield made


class Copies:
    """Counts the stray packets that arrive at the nodes on the pool's link, and those that leave a node."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        link = lab.options.pool_interface
        self._arriving = [stack.enter_context(Sniffer(node, link, self._arrives)) for node in lab.nodes]
        self._leaving = [stack.enter_context(Sniffer(node, None, self._leaves)) for node in lab.nodes]

    @staticmethod
    def _arrives(packet: Packet) -> bool:
        return packet.destination_port == PORT and not packet.outgoing

    @staticmethod
    def _leaves(packet: Packet) -> bool:
        return packet.destination_port == PORT and packet.outgoing

    def wait_for_arriving(self, count: int, seconds: float) -> list[tuple[str, str]]:
        """Return sources and destinations of the packets, as soon as so many arrived at the first node."""
        self._arriving[0].wait_for(count, seconds)
        return sorted((one.source, one.destination) for sniffer in self._arriving for one in sniffer.read())

    def left(self) -> Sequence[Packet]:
        """Return the packets that left a node."""
        return [packet for sniffer in self._leaving for packet in sniffer.read()]


def send(lab: Lab, client: str, address: str, flags: int = 0) -> None:
    """Send a stray packet to node1 on the pool's segment: from outside through the router, from the link directly.

    :param flags: of TCP; without any it is a UDP packet.
    """
    sender, link = ("onlink", "eth0") if client == "onlink" else ("poolrouter", "pool")
    mac = packets.mac_of(lab.host("node1"), lab.options.pool_interface)
    source = CLIENTS[client][6 if ":" in address else 4]
    made = packets.tcp(source, address, 9502, PORT, flags) if flags else packets.udp(source, address, 9500, PORT)
    packets.inject(lab.host(sender), link, mac, made)


@pytest.mark.parametrize("family", FAMILIES)
def test_stray_packets_are_dropped_by_the_first_node(lab: Lab, family: int) -> None:
    addresses = (SERVICE[family], UNUSED[family])
    with ExitStack() as stack:
        copies = Copies(lab, stack)
        for client in CLIENTS:
            for address in addresses:
                send(lab, client, address)
        sent = sorted((CLIENTS[client][family], address) for client in CLIENTS for address in addresses)
        assert copies.wait_for_arriving(len(sent) + 1, LOST_TIMEOUT) == sent, "each arrived once"
        assert copies.left() == []


@pytest.mark.parametrize("state", ["untracked", "invalid"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packets_without_a_connection_are_dropped_by_the_first_node(lab: Lab, family: int, state: str) -> None:
    """Conntrack gives them neither a direction nor a connection mark."""
    for node in lab.nodes:
        node.run(["nft", "-f", "-"], stdin=UNTRACKED if state == "untracked" else "")
        node.set_sysctl("net/netfilter/nf_conntrack_tcp_loose", int(state != "invalid"))
    try:
        with ExitStack() as stack:
            copies = Copies(lab, stack)
            for client in CLIENTS:
                send(lab, client, SERVICE[family], packets.ACK)
            assert len(copies.wait_for_arriving(len(CLIENTS) + 1, LOST_TIMEOUT)) == len(CLIENTS), "each arrived once"
            assert copies.left() == []
    finally:
        for node in lab.nodes:
            node.run("nft delete table inet untracked 2>/dev/null || true")
            node.set_sysctl("net/netfilter/nf_conntrack_tcp_loose", 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_stray_packets_of_a_pod_are_dropped_when_they_return(lab: Lab, family: int) -> None:
    """A pod's packet leaves by the default route and returns through the pool's router."""
    pod = {4: "10.112.2.20", 6: "fd00:112:2::20"}[family]
    with ExitStack() as stack:
        copies = Copies(lab, stack)
        packets.inject(lab.host("pod2"), "eth0", POD_GATEWAY_MAC, packets.udp(pod, SERVICE[family], 9501, PORT))
        assert len(copies.wait_for_arriving(2, LOST_TIMEOUT)) == 1
        assert len(copies.left()) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_without_a_pool_applied_stray_packets_loop(shared: bool) -> None:
    """The control: through both routers and back, until the hop limit is reached."""
    with lab_of(shared_link=shared) as lab:
        for family in FAMILIES:
            with ExitStack() as stack:
                copies = Copies(lab, stack)
                send(lab, "outside", SERVICE[family])
                assert len(copies.wait_for_arriving(LOOPS, TIMEOUT)) >= LOOPS
                assert len(copies.left()) >= LOOPS
