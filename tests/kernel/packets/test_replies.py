# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies that a node makes itself go home too: refusals, answers to pings, and what routers tell about a path."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import LOST, PATIENCE, PER_NODE, apply, assert_all_reached, lab_of
from tests.kernel.packets.lab import (
    ADDRESS,
    CLIENTS,
    CLOSED_PORTS,
    HOST_PORT,
    flow,
    forget_sizes,
    lead_elsewhere,
    refusal,
    replies,
    send_errors_freely,
)
from tests.lab import Host, Lab, packets
from tests.lab.delivery import all_cells
from tests.lab.packets import ICMP, ICMPV6, Packet

FAMILIES = (4, 6)
NARROW = 1300
#: ICMP types by family
ECHO_REPLY, TIME_EXCEEDED, TOO_BIG = {4: 0, 6: 129}, {4: 11, 6: 3}, {4: 3, 6: 2}


@pytest.fixture(scope="module", params=["dedicated", "shared"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with the pool applied, the nodes with addresses of it; tests leave it as it was."""
    shared = request.param == "shared"
    with lab_of(shared_link=shared, kube_proxy="nftables" if shared else "iptables", rp_filter=1) as made:
        lead_elsewhere(made)
        send_errors_freely(made)
        apply(made, per_node=True)
        yield made


def is_icmp(packet: Packet, kinds: dict[int, int]) -> bool:
    return (packet.protocol, packet.flags) in ((ICMP, kinds[4]), (ICMPV6, kinds[6]))


def is_of_the_link(packet: Packet) -> bool:
    """Whether it is a neighbour's solicitation or advertisement."""
    return packet.protocol == ICMPV6 and packet.flags in (135, 136)


# --- refusals


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("endpoint", CLOSED_PORTS)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_closed_port_is_refused_at_once(lab: Lab, protocol: str, endpoint: str, family: int) -> None:
    """By a reset or an ICMP error, made by a pod, by the node itself, or by a pod on the other node."""
    for client in CLIENTS:
        with replies(lab, client, family) as seen:
            target = (ADDRESS[family], CLOSED_PORTS[endpoint])
            assert refusal(lab.host(client), protocol, target, PATIENCE) == "refused", client
            home = [one for one in seen.home.read() if one.protocol in (packets.TCP, ICMP, ICMPV6)]
            assert {one.source for one in home if not is_of_the_link(one)} == {ADDRESS[family]}, client
            assert seen.wrong_ones() == [], client


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
                assert [one.source for one in seen.home.read()] == [address], client
                assert seen.wrong_ones() == [], client


# --- how large a packet may be


@pytest.fixture
def narrow_outside(lab: Lab) -> Iterator[Host]:
    """The pool's router, from which the way to the outside client is narrow."""
    router = lab.host("poolrouter")
    for address in CLIENTS["outside"].values():
        packets.limit_path(router, address, "internet", NARROW)
    yield router
    for address in CLIENTS["outside"].values():
        router.run(["ip", "route", "del", address, "dev", "internet"])
    forget_sizes(lab)


def test_endpoints_learn_that_the_way_out_is_narrow(lab: Lab, narrow_outside: Host) -> None:
    def to_outside(packet: Packet) -> bool:
        return packet.outgoing and packet.destination in CLIENTS["outside"].values() and packet.length > 1000

    with packets.Sniffer(narrow_outside, "internet", to_outside) as sniffer:
        cells = all_cells(lab, clients=["outside"], protocols=["tcp"])
        assert_all_reached(lab.deliver(cells, timeout=PATIENCE))
        for family in FAMILIES:
            assert flow(lab, "outside", family, HOST_PORT, 9100 + family) == "host1"
        assert max(packet.length for packet in sniffer.read()) == NARROW


@pytest.mark.parametrize("node", ["node1", "node2"])
def test_clients_learn_that_the_way_in_is_narrow(lab: Lab, node: str) -> None:
    """Each node's way to its pod is narrow; of two of them the second tells the first, which tells the client."""
    number = node[-1]
    narrow = [f"10.112.{number}.10", f"fd00:112:{number}::10"]
    for address in narrow:
        lab.host(node).run(f"ip route replace {address} dev pod-server mtu lock {NARROW}")
    try:
        for family in FAMILIES:
            with replies(lab, "outside", family, lambda packet: is_icmp(packet, TOO_BIG)) as seen:
                names = [one.name for one in lab.services.values() if one.endpoints == (f"pod{number}",)]
                cells = all_cells(lab, ["outside"], names, ["tcp"], [family])
                assert_all_reached(lab.deliver(cells, timeout=PATIENCE))
                assert seen.home.read()
                assert seen.wrong_ones() == []
    finally:
        for address in narrow:
            lab.host(node).run(f"ip route replace {address} dev pod-server")
        forget_sizes(lab)


@pytest.mark.usefixtures("narrow_outside")
def test_what_a_node_learnt_of_the_default_route_leads_no_reply_astray(lab: Lab) -> None:
    """A path's size, learnt for the client by the default router, is a route of its own in the kernel's eyes."""
    node, router = lab.host("node1"), lab.host("router")
    client = CLIENTS["outside"][6]
    packets.limit_path(router, client, "internet", 1400)
    try:
        assert not packets.ping(node, client, size=1440, fragment=False), "too large, and told so"
        assert "mtu 1400" in node.output(f"ip -6 route get {client}")
        with replies(lab, "outside", 6) as seen:
            for attempt in (1, 2):
                cells = all_cells(lab, clients=["outside"], protocols=["tcp"], families=[6])
                assert_all_reached(lab.deliver(cells, timeout=PATIENCE))
                assert flow(lab, "outside", 6, HOST_PORT, 9200 + attempt) == "host1"
            assert [one for one in seen.wrong_ones() if one.protocol == packets.TCP] == []
    finally:
        router.run(["ip", "route", "del", client, "dev", "internet"])


# --- how far a packet got


def trace(lab: Lab, family: int, address: str, hops: int, port: int) -> None:
    """Send a datagram from outside to the service that gets no further than so many hops."""
    client, router = lab.host("outside"), lab.host("poolrouter")
    datagram = struct.pack("!HHHH", port, 80, 16, 0) + b"homeward"
    packet = packets.ip_packet(CLIENTS["outside"][family], address, packets.UDP, datagram, hops)
    packets.inject(client, "eth0", packets.mac_of(router, "internet"), packet)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("hops", "service"), [(2, "ds-lo-p1"), (3, "cl-p2")], ids=["node", "other node"])
def test_a_node_says_that_a_packet_has_come_too_far(lab: Lab, hops: int, service: str, family: int) -> None:
    address = lab.services[service].address_of(family)
    if address is None:
        address, node = lab.services["ds-cl-p2"].address_of(6), "node1"
        assert address is not None
        lab.announce({"ds-cl-p2": node})
    with replies(lab, "outside", family, lambda packet: is_icmp(packet, TIME_EXCEEDED)) as seen:
        trace(lab, family, address, hops, 9300 + hops)
        assert len(seen.home.wait_for(1, PATIENCE)) == 1
        assert seen.wrong_ones() == []
    lab.announce({"ds-cl-p2": "node2"})


def test_without_it_none_of_these_come_home() -> None:
    """The control: the same packets, and no way home."""
    with lab_of(vlan_address=True) as lab:
        lead_elsewhere(lab)
        send_errors_freely(lab)
        client = lab.host("outside")
        for family in FAMILIES:
            for port in CLOSED_PORTS.values():
                assert refusal(client, "tcp", (ADDRESS[family], port), LOST) == "silence"
            assert not packets.ping(client, PER_NODE["node1"][0 if family == 4 else 1])
            with replies(lab, "outside", family, lambda packet: is_icmp(packet, TIME_EXCEEDED)) as seen:
                trace(lab, family, ADDRESS[family], 2, 9400)
                assert len(seen.wrong[0].wait_for(1, PATIENCE)) == 1, "it goes to the default router"
                assert seen.home.read() == []
