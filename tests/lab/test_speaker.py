"""The substitute for MetalLB's speaker fails where MetalLB's fails."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.lab import Cell, Host, Lab, LabOptions, arp, controls, packets
from tests.lab.delivery import assert_delivered
from tests.lab.responder import solicited_node_group
from tests.lab.waiting import wait_until

LINK, ADDRESS, ADDRESS6 = "eth0.100", "1.2.3.21", "fd00:1:2:3::21"
ROUTE = f"ip -6 rule {{}} priority 2400 to fd00:1:2:3::/64 oif {LINK} lookup 7701"
#: From the router's own address, and forwarded by it
ASK, FORWARDED = Cell("poolrouter", "ds-lo-p1", family=6), Cell("outside", "ds-lo-p1", family=6)
LOST_SECONDS = 1.5


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with Lab(LabOptions(prefix="homeward-speaker")) as running:
        controls.apply(running, "refined")
        yield running


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """A lab whose hosts know no neighbours, and whose speakers are restarted afterwards."""
    forget_neighbours(shared)
    yield shared
    shared.restart_speakers()


def forget_neighbours(lab: Lab) -> None:
    lab.host("poolrouter").run("ip neighbour flush dev pool")


def joined(node: Host, address: str = ADDRESS6) -> bool:
    """Whether the node receives solicitations for an address on the pool's link."""
    groups = node.output("cat /proc/net/igmp6").splitlines()
    return any(line.split()[1:3] == [LINK, solicited_node_group(address).hex()] for line in groups)


def announcers(lab: Lab, *addresses: str) -> dict[str, set[str]]:
    """Return the MACs that answer ARP requests for addresses of node1."""
    mac = packets.mac_of(lab.host("node1"), LINK)
    return arp.answers(lab.host("onlink"), "eth0", "1.2.3.50", {address: {mac} for address in addresses})


def test_an_answer_to_a_global_address_needs_a_route_by_the_link(lab: Lab) -> None:
    """An answer to a link-local address, which a router has for what it forwards, does not; ARP never does."""
    node = lab.host("node1")
    node.run(ROUTE.format("del"))
    try:
        assert not lab.deliver([ASK], timeout=LOST_SECONDS)[0].reached
        assert f"advertise {ADDRESS6} to fd00:1:2:3::1: Network is unreachable" in lab.speaker_log()[-1]
        forget_neighbours(lab)
        assert_delivered(lab, lab.deliver([FORWARDED, Cell("poolrouter", "lo-p1")]))
    finally:
        node.run(ROUTE.format("add"))
    forget_neighbours(lab)
    assert_delivered(lab, lab.deliver([ASK]))


def test_a_link_that_was_down_does_not_get_its_groups_again(lab: Lab) -> None:
    """Until the speaker restarts, or any process joins them. ARP is answered again."""
    node = lab.host("node1")
    assert joined(node)
    state = {number: node.output(f"ip -{number} route show table 7701") for number in (4, 6)}
    node.run(f"ip link set {LINK} down")
    lab.scan_links()
    node.run(f"ip link set {LINK} up")
    for number, routes in state.items():
        # The network before the default route through it
        for route in sorted(routes.splitlines(), key=lambda line: "default" in line):
            node.run(f"ip -{number} route replace table 7701 {route}", check=False)
    wait_until(lambda: f" {LINK}" in node.output("cat /proc/net/if_inet6"), "the link has its link-local address")
    lab.scan_links()
    assert announcers(lab, ADDRESS) == {ADDRESS: {packets.mac_of(node, LINK)}}
    assert not joined(node)
    forget_neighbours(lab)
    assert not lab.deliver([FORWARDED], timeout=LOST_SECONDS)[0].reached
    with node.call(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as holder:
        index = int(node.output(f"cat /sys/class/net/{LINK}/ifindex"))
        group = solicited_node_group(ADDRESS6) + struct.pack("@I", index)
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        forget_neighbours(lab)
        assert_delivered(lab, lab.deliver([FORWARDED, ASK]))
    lab.restart_speakers()
    assert joined(node)
    forget_neighbours(lab)
    assert_delivered(lab, lab.deliver([FORWARDED, ASK]))


def test_a_service_is_given_up_while_its_link_is_missing(lab: Lab) -> None:
    """And is announced once it is processed again. Services announced before are not affected."""
    node = lab.host("node1")
    lab.announce({"lo-p1": "node2"})
    node.run(f"ip link set {LINK} name elsewhere")
    try:
        lab.scan_links()
        lab.announce({"lo-p1": "node1"})
        assert f"announceFailed lo-p1: the node has none of {LINK}" in lab.speaker_log()[-1]
    finally:
        node.run(f"ip link set elsewhere name {LINK}")
    lab.scan_links()
    assert announcers(lab, "1.2.3.5") == {"1.2.3.5": {packets.mac_of(node, LINK)}}
    forget_neighbours(lab)
    assert not lab.deliver([Cell("outside", "lo-p1")], timeout=LOST_SECONDS)[0].reached
    lab.announce({"lo-p1": "node1"})
    assert_delivered(lab, lab.deliver([Cell("outside", "lo-p1")]))


def test_a_link_with_a_master_is_not_used(lab: Lab) -> None:
    node = lab.host("node2")
    node.run(f"ip link add br0 type bridge; ip link set br0 up; ip link set {LINK} master br0")
    try:
        lab.scan_links()
        assert not listens_for_arp(node)
    finally:
        node.run("ip link del br0")
    lab.scan_links()
    assert listens_for_arp(node)


def listens_for_arp(node: Host) -> bool:
    """Whether a packet socket is bound to the link, as /proc/net/packet shows it."""
    index = node.output(f"cat /sys/class/net/{LINK}/ifindex")
    return any(line.split()[3:5] == ["0806", index] for line in node.output("cat /proc/net/packet").splitlines())
