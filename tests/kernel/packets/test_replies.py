# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies of the node itself, too, leave through the pool's gateway: resets, ICMP errors, echo replies."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, PER_NODE, TIMEOUT, apply, assert_all_reached, lab_of
from tests.kernel.packets.lab import (
    ADDRESS,
    CLIENTS,
    CLOSED_PORTS,
    HOST_PORT,
    add_ports,
    flow,
    flush_path_mtus,
    outcome,
    replies,
    unlimit_errors,
)
from tests.lab import Host, Lab, packets
from tests.lab.delivery import all_cells
from tests.lab.packets import ICMP, ICMPV6, Packet

FAMILIES = (4, 6)
SMALL = 1300
#: ICMP types by family
ECHO_REPLY, TIME_EXCEEDED, TOO_BIG = {4: 0, 6: 129}, {4: 11, 6: 3}, {4: 3, 6: 2}


@pytest.fixture(scope="module", params=["dedicated", "shared"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with the pool applied and addresses of it on the nodes; tests leave it unchanged."""
    shared = request.param == "shared"
    with lab_of(shared_link=shared, kube_proxy="nftables" if shared else "iptables", rp_filter=1) as made:
        add_ports(made)
        unlimit_errors(made)
        apply(made, per_node=True)
        yield made


def is_icmp(packet: Packet, kinds: dict[int, int]) -> bool:
    return (packet.protocol, packet.flags) in ((ICMP, kinds[4]), (ICMPV6, kinds[6]))


def is_neighbour_discovery(packet: Packet) -> bool:
    """Whether it is a neighbour solicitation or advertisement."""
    return packet.protocol == ICMPV6 and packet.flags in (135, 136)


# --- refusals


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("endpoint", CLOSED_PORTS)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_closed_port_refuses_connections(lab: Lab, protocol: str, endpoint: str, family: int) -> None:
    """With a reset or an ICMP error, sent by a pod, by the node itself, or by a pod on the other node."""
    for client in CLIENTS:
        with replies(lab, client, family) as seen:
            target = (ADDRESS[family], CLOSED_PORTS[endpoint])
            assert outcome(lab.host(client), protocol, target, TIMEOUT) == "refused", client
            replied = [one for one in seen.expected.read() if one.protocol in (packets.TCP, ICMP, ICMPV6)]
            assert {one.source for one in replied if not is_neighbour_discovery(one)} == {ADDRESS[family]}, client
            assert seen.unexpected() == [], client


@pytest.mark.parametrize("family", FAMILIES)
def test_a_nodes_own_address_of_the_pool_answers_pings(lab: Lab, family: int) -> None:
    """On a dedicated link with strict filtering, IPv4 neighbours other than the gateway get no answer to their ARP."""
    unanswered = {"onlink"} if family == 4 and not lab.options.shared_link else set()
    for client in set(CLIENTS) - unanswered:
        for own in PER_NODE.values():
            address = own[0 if family == 4 else 1]
            lab.host("poolrouter").run("ip neighbour flush dev pool")
            with replies(lab, client, family, lambda packet: is_icmp(packet, ECHO_REPLY)) as seen:
                assert packets.ping(lab.host(client), address), (client, address)
                assert [one.source for one in seen.expected.read()] == [address], client
                assert seen.unexpected() == [], client


# --- path MTU


@pytest.fixture
def small_mtu(lab: Lab) -> Iterator[Host]:
    """The pool's router, from which the path to the outside client has a small MTU."""
    router = lab.host("poolrouter")
    for address in CLIENTS["outside"].values():
        packets.limit_path(router, address, "internet", SMALL)
    yield router
    for address in CLIENTS["outside"].values():
        router.run(["ip", "route", "del", address, "dev", "internet"])
    flush_path_mtus(lab)


def test_endpoints_discover_the_mtu_to_clients(lab: Lab, small_mtu: Host) -> None:
    def to_outside(packet: Packet) -> bool:
        return packet.outgoing and packet.destination in CLIENTS["outside"].values() and packet.length > 1000

    with packets.Sniffer(small_mtu, "internet", to_outside) as sniffer:
        cells = all_cells(lab, clients=["outside"], protocols=["tcp"])
        assert_all_reached(lab, lab.deliver(cells, timeout=TIMEOUT))
        for family in FAMILIES:
            assert flow(lab, "outside", family, HOST_PORT, 9100 + family) == "host1"
        assert max(packet.length for packet in sniffer.read()) == SMALL


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_clients_discover_the_mtu_to_endpoints(lab: Lab, node: str) -> None:
    """Each node's path to its pod has a small MTU; reported by the second node to the first, and on to the client."""
    number = node[-1]
    addresses = [f"10.112.{number}.10", f"fd00:112:{number}::10"]
    for address in addresses:
        lab.host(node).run(f"ip route replace {address} dev pod-server mtu lock {SMALL}")
    try:
        for family in FAMILIES:
            with replies(lab, "outside", family, lambda packet: is_icmp(packet, TOO_BIG)) as seen:
                names = [one.name for one in lab.services.values() if one.endpoints == (f"pod{number}",)]
                cells = all_cells(lab, ["outside"], names, ["tcp"], [family])
                assert_all_reached(lab, lab.deliver(cells, timeout=TIMEOUT))
                assert seen.expected.read()
                assert seen.unexpected() == []
    finally:
        for address in addresses:
            lab.host(node).run(f"ip route replace {address} dev pod-server")
        flush_path_mtus(lab)


@pytest.mark.usefixtures("small_mtu")
def test_a_path_mtu_of_the_default_route_diverts_no_reply(lab: Lab) -> None:
    """The kernel caches a path MTU, discovered for the client through the default router, as a route of its own."""
    node, router = lab.host("node1"), lab.host("router")
    client = CLIENTS["outside"][6]
    packets.limit_path(router, client, "internet", 1400)
    try:
        assert not packets.ping(node, client, size=1440, fragment=False), "too large, and reported"
        assert "mtu 1400" in node.output(f"ip -6 route get {client}")
        with replies(lab, "outside", 6) as seen:
            for attempt in (1, 2):
                cells = all_cells(lab, clients=["outside"], protocols=["tcp"], families=[6])
                assert_all_reached(lab, lab.deliver(cells, timeout=TIMEOUT))
                assert flow(lab, "outside", 6, HOST_PORT, 9200 + attempt) == "host1"
            assert [one for one in seen.unexpected() if one.protocol == packets.TCP] == []
    finally:
        router.run(["ip", "route", "del", client, "dev", "internet"])


# --- time exceeded


def trace(lab: Lab, family: int, address: str, hops: int, port: int) -> None:
    """Send a datagram from outside to the service with this hop limit."""
    client, router = lab.host("outside"), lab.host("poolrouter")
    datagram = struct.pack("!HHHH", port, 80, 16, 0) + b"homeward"
    packet = packets.ip_packet(CLIENTS["outside"][family], address, packets.UDP, datagram, hops)
    packets.inject(client, "eth0", packets.mac_of(router, "internet"), packet)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("hops", "service"), [(2, "ds-lo-p1"), (3, "cl-p2")], ids=["node", "other node"])
def test_time_exceeded_leaves_through_the_pools_gateway(lab: Lab, hops: int, service: str, family: int) -> None:
    address = lab.services[service].address_of(family)
    if address is None:
        address, node = lab.services["ds-cl-p2"].address_of(6), "node1"
        assert address is not None
        lab.announce({"ds-cl-p2": node})
    with replies(lab, "outside", family, lambda packet: is_icmp(packet, TIME_EXCEEDED)) as seen:
        trace(lab, family, address, hops, 9300 + hops)
        assert len(seen.expected.wait_for(1, TIMEOUT)) == 1
        assert seen.unexpected() == []
    lab.announce({"ds-cl-p2": "node2"})


def test_without_a_pool_applied_none_of_these_arrive() -> None:
    """The control: the same packets without the pool."""
    with lab_of(vlan_address=True) as lab:
        add_ports(lab)
        unlimit_errors(lab)
        client = lab.host("outside")
        for family in FAMILIES:
            for port in CLOSED_PORTS.values():
                assert outcome(client, "tcp", (ADDRESS[family], port), LOST_TIMEOUT) == "silence"
            assert not packets.ping(client, PER_NODE["node1"][0 if family == 4 else 1])
            with replies(lab, "outside", family, lambda packet: is_icmp(packet, TIME_EXCEEDED)) as seen:
                trace(lab, family, ADDRESS[family], 2, 9400)
                assert len(seen.others[0].wait_for(1, TIMEOUT)) == 1, "it goes to the default router"
                assert seen.expected.read() == []
