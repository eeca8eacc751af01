# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes in on the pool's segment with a forged source, or for somewhere else, is delivered to nobody.

Every probe is told from the others by its length, which neither rewriting nor masquerading changes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.kernel.delivery.lab import PATIENCE, PER_NODE, apply, lab_of, pool_of, remove
from tests.lab import Lab, packets
from tests.lab.packets import UDP, Packet, Sniffer

FAMILIES = (4, 6)
HONEST = {4: "203.0.113.99", 6: "fd00:203:0:113::99"}
LAN = {4: "192.168.1.50", 6: "fd00:192:168:1::50"}
DENY = ["192.168.1.0/24", "fd00:192:168:1::/64"]
FORGED = {
    4: {
        "far pod": "10.112.2.20",
        "near pod": "10.112.1.20",
        "other pod": "10.120.9.9",
        "service": "10.96.0.14",
        "node1": "192.168.1.11",
        "node2": "192.168.1.12",
    },
    6: {
        "far pod": "fd00:112:2::20",
        "near pod": "fd00:112:1::20",
        "other pod": "fd00:112:99::9",
        "service": "fd00:96::14",
        "node1": "fd00:192:168:1::11",
        "node2": "fd00:192:168:1::12",
    },
}
LOOPBACK = "127.0.0.1"
#: Services by where their endpoint is, seen from node1: in a pod there, in a pod on node2, on node1 itself
TARGETS = {4: ("1.2.3.7", "1.2.3.6", "1.2.3.11"), 6: ("fd00:1:2:3::21",)}
ELSEWHERE = {
    4: {
        "pod": ("10.112.1.10", 8080),
        "cluster IP": ("10.96.0.14", 80),
        "lan": (LAN[4], 9),
        "node": ("192.168.1.11", 8081),
    },
    6: {"pod": ("fd00:112:1::10", 8080), "lan": (LAN[6], 9), "node": ("fd00:192:168:1::11", 8081)},
}
FIRST_LENGTH = 100


@dataclass(frozen=True)
class Probe:
    """A datagram that is put on the pool's segment, for node1."""

    source: str
    target: str
    port: int = 80


class Delivered:
    """Listens where a datagram can end: in the pods' links, the LAN's client, and sockets of the nodes themselves."""

    def __init__(self, lab: Lab, stack: ExitStack) -> None:
        self._sniffers = [
            stack.enter_context(Sniffer(lab.host(name), "eth0", self._arrives))
            for name in ("server1", "server2", "lan", "pod1", "pod2")
        ]
        self._sockets = [
            stack.enter_context(lab.host(name).call(lambda family=family: _raw_socket(family)))
            for name in ("node1", "node2")
            for family in (socket.AF_INET, socket.AF_INET6)
        ]

    @staticmethod
    def _arrives(packet: Packet) -> bool:
        return not packet.outgoing and packet.protocol == UDP and packet.length >= FIRST_LENGTH

    def lengths(self) -> set[int]:
        """Return the lengths of the data of all datagrams that arrived somewhere."""
        found = set()
        for sniffer in self._sniffers:
            found |= {one.length - (48 if ":" in one.source else 28) for one in sniffer.read()}
        for handle in self._sockets:
            while True:
                try:
                    data = handle.recv(65535)
                except BlockingIOError:
                    break
                found.add(len(data) - (8 if handle.family == socket.AF_INET6 else 28))
        return found


def _raw_socket(family: socket.AddressFamily) -> socket.socket:
    """Return a socket that gets what is delivered to the host itself, behind all filters."""
    handle = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
    handle.setblocking(False)
    return handle


def delivered(lab: Lab, probes: Sequence[Probe], last: Probe | None = None) -> list[Probe]:
    """Send all probes to node1, and return those that arrived anywhere.

    :param last: an honest one, sent behind them until it arrives, which shows that the others would have been seen.
    """
    mac = packets.mac_of(lab.host("node1"), lab.options.pool_interface)
    with ExitStack() as stack:
        listener = Delivered(lab, stack)
        for length, probe in enumerate(probes, FIRST_LENGTH):
            inject(lab, probe, length, mac)
        if last:
            end = FIRST_LENGTH + len(probes)
            with Sniffer(lab.host("server1"), "eth0", lambda one: not one.outgoing and one.length > end) as witness:
                inject(lab, last, end, mac)
                assert witness.wait_for(1, PATIENCE), "the honest one must arrive"
        found = listener.lengths()
    return [probe for length, probe in enumerate(probes, FIRST_LENGTH) if length in found]


def inject(lab: Lab, probe: Probe, length: int, mac: str) -> None:
    """Put a probe on the pool's segment."""
    datagram = packets.udp(probe.source, probe.target, 7000 + length, probe.port, b"h" * length)
    packets.inject(lab.host("onlink"), "eth0", mac, datagram)


def honest(family: int) -> Probe:
    """A probe that must always arrive, in the pod on node1."""
    return Probe(HONEST[family], TARGETS[family][0])


def forged(family: int, sources: Iterable[str] | None = None) -> list[Probe]:
    """Return a probe for each source and each place of an endpoint."""
    chosen = FORGED[family].values() if sources is None else sources
    return [Probe(source, target) for source in chosen for target in TARGETS[family]]


@contextmanager
def gullible(lab: Lab) -> Iterator[None]:
    """Let the nodes' kernels believe that their own addresses may come in by a link."""
    keys = [f"net/ipv4/conf/all/{name}" for name in ("accept_local", "route_localnet")]
    for node in lab.nodes:
        for key in keys:
            node.set_sysctl(key, 1)
    yield
    for node in lab.nodes:
        for key in keys:
            node.set_sysctl(key, 0)


@pytest.fixture(scope="module", params=["dedicated-iptables", "shared-iptables", "dedicated-nftables"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab whose kernels filter no sources, so that what stops a packet is ours; each test removes what it applied."""
    link, mode = request.param.split("-")
    with lab_of(shared_link=link == "shared", kube_proxy=mode, rp_filter=0) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> Iterator[None]:
    """Take everything of ours off again."""
    yield
    remove(lab)


@pytest.mark.parametrize("family", FAMILIES)
def test_forged_sources_reach_no_endpoint(lab: Lab, family: int) -> None:
    """Not even where the kernel would believe that its own address may come in."""
    probes = forged(family)
    with gullible(lab):
        assert delivered(lab, probes) == probes, "the control: without it, each gets through"
        apply(lab, pool_of(lab, rp_filter="off"))
        assert delivered(lab, probes, honest(family)) == []


def test_the_kernel_still_takes_loopback_for_impossible(lab: Lab) -> None:
    probes = forged(4, [LOOPBACK])
    with gullible(lab):
        assert delivered(lab, probes) == probes, "the control: a kernel can be made to believe it"
    apply(lab, pool_of(lab, rp_filter="off"))
    assert delivered(lab, probes, honest(4)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_else_has_the_nodes_own_address_of_the_pool(lab: Lab, family: int) -> None:
    probes = forged(family, [PER_NODE["node1"][0 if family == 4 else 1]])
    with gullible(lab):
        assert delivered(lab, probes) == probes, "the control"
        apply(lab, pool_of(lab, rp_filter="off"), per_node=True)
        assert delivered(lab, probes, honest(family)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lan_is_refused_where_it_is_denied(lab: Lab, family: int) -> None:
    probes = forged(family, [LAN[family]])
    apply(lab, pool_of(lab, rp_filter="off"))
    assert delivered(lab, probes, honest(family)) == probes, "the control: it is an option"
    apply(lab, pool_of(lab, rp_filter="off", deny=DENY))
    assert delivered(lab, probes, honest(family)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pools_link_leads_nowhere_else(lab: Lab, family: int) -> None:
    """On a dedicated link. A shared one is the way of the node's own traffic, which must pass."""
    probes = [Probe(HONEST[family], *place) for place in ELSEWHERE[family].values()]
    assert delivered(lab, probes) == probes, "the control"
    apply(lab, pool_of(lab, rp_filter="off"))
    expected = probes if lab.options.shared_link else []
    assert delivered(lab, probes, honest(family)) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_source_routing_denies_what_it_is_told_to(lab: Lab, family: int) -> None:
    probes = forged(family, [LAN[family]])
    apply(lab, pool_of(lab, case="source_routing"))
    assert delivered(lab, probes, honest(family)) == probes, "the control: it is an option"
    apply(lab, pool_of(lab, case="source_routing", deny=DENY))
    assert delivered(lab, probes, honest(family)) == []
