# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets with a forged source, or another destination, that arrive on the pool's link are dropped.

Probes differ in their length, which neither DNAT nor masquerading changes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.kernel.delivery.lab import PER_NODE, TIMEOUT, apply, lab_of, pool_of, remove
from tests.kernel.packets.lab import CLIENTS
from tests.lab import Lab, packets
from tests.lab.packets import UDP, Packet, Sniffer

FAMILIES = (4, 6)
VALID = {4: "203.0.113.99", 6: "fd00:203:0:113::99"}
DENY = ["192.168.1.0/24", "fd00:192:168:1::/64"]
#: Pods on node2, on node1 and elsewhere, a service, and both nodes
FORGED = {
    4: ("10.112.2.20", "10.112.1.20", "10.120.9.9", "10.96.0.14", "192.168.1.11", "192.168.1.12"),
    6: (
        *("fd00:112:2::20", "fd00:112:1::20", "fd00:112:99::9"),
        *("fd00:96::14", "fd00:192:168:1::11", "fd00:192:168:1::12"),
    ),
}
LOOPBACK = "127.0.0.1"
#: Services whose endpoint is a pod on node1, a pod on node2, and node1 itself
TARGETS = {4: ("1.2.3.7", "1.2.3.6", "1.2.3.11"), 6: ("fd00:1:2:3::21",)}
#: A pod, a cluster IP, a client in the LAN, and the node itself
ELSEWHERE = {
    4: (("10.112.1.10", 8080), ("10.96.0.14", 80), (CLIENTS["lan"][4], 9), ("192.168.1.11", 8081)),
    6: (("fd00:112:1::10", 8080), (CLIENTS["lan"][6], 9), ("fd00:192:168:1::11", 8081)),
}
FIRST_LENGTH = 100


@dataclass(frozen=True)
class Probe:
    """A datagram that is sent to node1 on the pool's segment."""

    source: str
    target: str
    port: int = 80


class Delivered:
    """Listens at every destination: the links of the pods and of the LAN's client, and sockets of the nodes."""

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
        """Return the lengths of the payloads that arrived anywhere."""
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
    """Return a socket that receives what is delivered to the host itself, behind all filters."""
    handle = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
    handle.setblocking(False)
    return handle


def delivered(lab: Lab, probes: Sequence[Probe], last: Probe | None = None) -> list[Probe]:
    """Send all probes to node1, and return those that arrived anywhere.

    :param last: a valid one, sent after them, whose arrival shows that the others would have arrived by then.
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
                assert witness.wait_for(1, TIMEOUT), "the valid one must arrive"
        found = listener.lengths()
    return [probe for length, probe in enumerate(probes, FIRST_LENGTH) if length in found]


def inject(lab: Lab, probe: Probe, length: int, mac: str) -> None:
    """Send a probe on the pool's segment."""
    datagram = packets.udp(probe.source, probe.target, 7000 + length, probe.port, b"h" * length)
    packets.inject(lab.host("onlink"), "eth0", mac, datagram)


def valid(family: int) -> Probe:
    """Return a probe that must always arrive, in the pod on node1."""
    return Probe(VALID[family], TARGETS[family][0])


def forged(family: int, sources: Iterable[str] | None = None) -> list[Probe]:
    """Return a probe for each source and each service."""
    chosen = FORGED[family] if sources is None else sources
    return [Probe(source, target) for source in chosen for target in TARGETS[family]]


@contextmanager
def accept_local(lab: Lab) -> Iterator[None]:
    """Let the nodes' kernels accept packets with local source addresses."""
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
    """A lab without reverse path filters, so that only the guard drops packets; each test removes what it applied."""
    link, mode = request.param.split("-")
    with lab_of(shared_link=link == "shared", kube_proxy=mode, rp_filter=0) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(lab: Lab) -> Iterator[None]:
    """Remove everything managed after the test."""
    yield
    remove(lab)


@pytest.mark.parametrize("family", FAMILIES)
def test_forged_sources_reach_no_endpoint(lab: Lab, family: int) -> None:
    """Even if the kernel accepts local source addresses."""
    probes = forged(family)
    with accept_local(lab):
        assert delivered(lab, probes) == probes, "the control: without the guard, each is delivered"
        apply(lab, pool_of(lab, rp_filter="off"))
        assert delivered(lab, probes, valid(family)) == []


def test_the_kernel_still_drops_loopback_sources(lab: Lab) -> None:
    probes = forged(4, [LOOPBACK])
    with accept_local(lab):
        assert delivered(lab, probes) == probes, "the control: a kernel can accept them"
    apply(lab, pool_of(lab, rp_filter="off"))
    assert delivered(lab, probes, valid(4)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_nodes_own_address_of_the_pool_is_no_valid_source(lab: Lab, family: int) -> None:
    probes = forged(family, [PER_NODE["node1"][0 if family == 4 else 1]])
    with accept_local(lab):
        assert delivered(lab, probes) == probes, "the control"
        apply(lab, pool_of(lab, rp_filter="off"), per_node=True)
        assert delivered(lab, probes, valid(family)) == []


@pytest.mark.parametrize("options", [{"rp_filter": "off"}, {"case": "source_routing"}], ids=lambda one: next(iter(one)))
@pytest.mark.parametrize("family", FAMILIES)
def test_denied_sources_are_dropped(lab: Lab, family: int, options: dict[str, str]) -> None:
    probes = forged(family, [CLIENTS["lan"][family]])
    apply(lab, pool_of(lab, **options))
    assert delivered(lab, probes, valid(family)) == probes, "the control: without deny, they are delivered"
    apply(lab, pool_of(lab, **options, deny=DENY))
    assert delivered(lab, probes, valid(family)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_only_icmp_reaches_the_nodes_own_address_of_the_pool(lab: Lab, family: int) -> None:
    own = PER_NODE["node1"][0 if family == 4 else 1]
    probes = [Probe(VALID[family], own, port) for port in (22, 10250, 30080)]
    apply(lab, pool_of(lab, rp_filter="off"), per_node=True)
    expected = probes if lab.options.shared_link else []
    assert delivered(lab, probes, valid(family)) == expected
    lab.host("onlink").run(f"ping -{family} -n -c 1 -W {TIMEOUT:.0f} {own}")


#: A part of the link's network, which has the services, and servers in the rest of it and elsewhere
PART = ["1.2.3.0/28", "fd00:1:2:3::/120"]
WHOLE = ["1.2.3.0/24", "fd00:1:2:3::/64"]
SERVERS = {4: ["1.2.3.60", "9.9.9.9"], 6: ["fd00:1:2:3:6::60", "fd00:9::9"]}


@pytest.mark.parametrize("dedicated", [True, None], ids=["declared", "inferred"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packets_of_api_servers_always_pass(lab: Lab, family: int, dedicated: bool | None) -> None:
    """Also at an address that moved to this node and link, as kube-vip does, when the run was over."""
    if dedicated and lab.options.shared_link:
        pytest.skip("a shared link cannot be declared as dedicated")
    node, link = lab.host("node1"), lab.options.pool_interface
    pool = pool_of(lab, rp_filter="off", networks=PART, onlink_networks=WHOLE, dedicated=dedicated)
    apply(lab, pool, cluster={"api_servers": [*SERVERS[4], *SERVERS[6]]})
    target, other = ELSEWHERE[family][-1][0], Probe(VALID[family], *ELSEWHERE[family][-1])
    to_server = Probe(VALID[family], SERVERS[family][0], 6443)
    from_servers = [Probe(server, target, 8081) for server in SERVERS[family]]
    assert delivered(lab, [*from_servers, other], valid(family)) == [*from_servers, *([] if dedicated else [other])]
    moved = f"{to_server.target}/{32 if family == 4 else 128} dev {link}"
    node.run(f"ip addr add {moved}{' nodad' if family == 6 else ''}")
    local = f"ip -{family} route show table local"  # IPv6 adds the route later
    node.run(f"timeout {TIMEOUT:.0f} sh -c 'until {local} | grep -q \"{to_server.target} \"; do sleep 0.02; done'")
    try:
        assert delivered(lab, [to_server], valid(family)) == [to_server]
    finally:
        node.run(f"ip addr del {moved}")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dedicated_link_accepts_no_other_destination(lab: Lab, family: int) -> None:
    """A shared link carries the node's own traffic, which must pass."""
    probes = [Probe(VALID[family], *target) for target in ELSEWHERE[family]]
    assert delivered(lab, probes) == probes, "the control"
    apply(lab, pool_of(lab, rp_filter="off"))
    expected = probes if lab.options.shared_link else []
    assert delivered(lab, probes, valid(family)) == expected
