# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab whose two nodes are persistent: node1 with a foreign link and nft, node2 with a managed link and legacy tables.

The machine may have no 802.1Q, so a macvlan on pool0 stands in for the VLAN. A VLAN has its parent's
address on the wire, a macvlan a random one: :func:`wear_address` gives it the one that clients know.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import Saved, dumps, loads
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Link
from tests.kernel.delivery.lab import NODE_ADDRESSES, PER_NODE, pool_of
from tests.lab import Host, Lab, kube_proxy_rules, namespaces, offloads, topology
from tests.lab.flows import open_socket
from tests.lab.servers import PAYLOAD, SEED_SIZE, payload
from tests.lab.services import SERVICE_PORT
from tests.support.agent import apply, command, read_state, write_state
from tests.support.playbooks import CLUSTER

POOL_LINK = "eth0.100"
PARENT = "pool0"
NODE2_MAC, PARENT_MAC = topology.mac(2, 12), topology.mac(2, 112)
SURVIVES = 15.0  # seconds without progress after which a connection counts as lost
_ports = itertools.count(5000)  # below those of the lab's own flows; never used twice in one lab
_SETTLED = 0.1  # seconds without an event after which a recording is over


def parameters(lab: Lab, node: str, variant: str) -> dict[str, object]:
    """Return the module's parameters for the lab's pool on one node, with addresses of the node's own."""
    pool = {**pool_of(lab), "addresses": list(PER_NODE[node])}
    cluster = {**CLUSTER, "node_addresses": list(NODE_ADDRESSES)}
    return {"pools": [pool], "cluster": cluster, "iptables_variant": variant}


def prepare(lab: Lab) -> None:
    """Apply the pool to both nodes, persistently."""
    first, second = lab.nodes
    apply(first, parameters(lab, "node1", "nft"))
    apply(second, parameters(lab, "node2", "legacy"))
    own_the_link(second)


def own_the_link(node: Host) -> None:
    """Turn the node's foreign pool link into the parent of a managed one, as if that had been declared."""
    saved = loads(read_state(node))
    managed = Link(POOL_LINK, "macvlan", PARENT)
    write_state(node, dumps(with_links(saved, managed)))
    node.run(f"ip link set {POOL_LINK} down name {PARENT}; ip link set {PARENT} address {PARENT_MAC} up")
    for name, value in (
        ("ipv4/conf/{}/rp_filter", 0),
        ("ipv4/conf/{}/src_valid_mark", 0),
        ("ipv6/conf/{}/accept_ra", 1),
    ):
        node.set_sysctl(f"net/{name.format(PARENT)}", value)  # as a link has them that was never managed
    node.run(command("restore"))
    wear_address(node)


def with_links(saved: Saved, *links: Link) -> Saved:
    """Return the saved state with these links."""
    return replace(saved, state=replace(saved.state, links=frozenset(links)))


def wear_address(node: Host) -> None:
    """Give the macvlan, as soon as it is there, the hardware address that clients know, as a VLAN would have it."""
    deadline = time.monotonic() + SURVIVES
    while node.run(f"ip link set {POOL_LINK} address {NODE2_MAC}", check=False).returncode:
        assert time.monotonic() < deadline, f"{node.name}: no {POOL_LINK}"
        time.sleep(0.005)


def remake_link(lab: Lab, node: str) -> None:
    """Delete a node's foreign link to the pool and create it again, as its owner would."""
    host = lab.host(node)
    plan = next(plan for plan in lab.plans if plan.name == node)
    (link,) = (link for link in plan.links if link.name == POOL_LINK)
    if node == "node2":
        link = replace(link, name=PARENT, mac=PARENT_MAC)
    alone = replace(plan, links=(link,))
    host.run(f"ip link del {link.name}")
    namespaces.ip_batch(topology.cables([alone], lab.prefix))
    switch = lab.namespace(topology.SWITCH)
    namespaces.ip_batch(topology.ports([alone], lab.options), switch)
    for namespace, name in ((host.namespace, link.name), (switch, topology.port_of(plan, link))):
        namespaces.in_namespace(namespace, lambda name=name: offloads.switch_off([name]))
    host.run(f"ip link set {link.name} up")


def reload_kube_proxy(lab: Lab, node: str) -> None:
    """Load what else a node has in nftables, as kube-proxy and the network plugin do soon after they lost it."""
    host = lab.host(node)
    kube_proxy_rules.load(host, lab.options, lab.services)
    plan = next(plan for plan in lab.plans if plan.name == node)
    host.run(["nft", "-f", "-"], stdin=topology.firewall(plan, lab.options))


class Connection:
    """A TCP connection of a client to a service: half of it before something happens, and the other half after."""

    def __init__(self, lab: Lab, service: str, client: str = "outside") -> None:
        self._socket = lab.host(client).call(lambda: open_socket("tcp", 4, next(_ports)))
        self._socket.settimeout(SURVIVES)
        self._seed = os.urandom(SEED_SIZE)
        self._request = self._seed + payload(self._seed)
        try:
            self._socket.connect((lab.services[service].address, SERVICE_PORT))
            self._socket.sendall(self._request[: PAYLOAD // 2])
        except OSError as error:
            self._socket.close()
            raise AssertionError(f"{client} does not even reach {service}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def finish(self) -> None:
        """Send the rest, and check that every byte of the answer is right."""
        self._socket.sendall(self._request[PAYLOAD // 2 :])
        answer = bytearray()
        wanted = 33
        while len(answer) < wanted:
            data = self._socket.recv(1 << 16)
            assert data, f"closed after {len(answer)} of {wanted} bytes"
            answer += data
            wanted = 33 + answer[32] + PAYLOAD if len(answer) >= 33 else wanted
        assert answer[:32] == hashlib.sha256(self._request).digest(), "other bytes arrived than were sent"
        assert answer[33 + answer[32] :] == payload(self._seed[::-1]), "other bytes came back"


@dataclass(frozen=True)
class Span:
    """When the first thing happened and when the last, seconds of the monotonic clock."""

    first: float
    last: float

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.last - self.first) * 1000


_RTM_NEWADDR, _RTM_NEWROUTE, _RTM_NEWRULE, _RTM_NEWNETCONF, _RTM_NEWLINK = 20, 24, 32, 80, 16
_NFT_NEWGEN = (10 << 8) | 15
_MAKING = frozenset({_RTM_NEWADDR, _RTM_NEWROUTE, _RTM_NEWRULE, _RTM_NEWNETCONF, _NFT_NEWGEN})


class Recorder:
    """Times what the kernel tells of a node's changes, with sockets of its own; a context manager.

    The kernel itself tells of a link that runs up to a second after it is up; links end no span.
    """

    def __init__(self, node: Host) -> None:
        self._sockets = node.call(_listen)
        self._events: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    def clear(self) -> None:
        """Forget what has happened so far."""
        self._events.clear()

    def span(self) -> Span | None:
        """Return when the first change came and when the last of what makes something; None where nothing did."""
        events = list(self._events)
        made = [at for at, kind in events if kind in _MAKING]
        return Span(events[0][0], made[-1]) if made else None

    def settle(self, seconds: float = 3.0) -> None:
        """Wait until nothing has been made for a while, or for so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            made = [at for at, kind in list(self._events) if kind in _MAKING]
            if made and time.monotonic() - made[-1] > _SETTLED:
                return
            time.sleep(0.01)

    def _record(self) -> None:
        poll = select.poll()
        for one in self._sockets:
            poll.register(one, select.POLLIN)
        by_number = {one.fileno(): one for one in self._sockets}
        while not self._stop.is_set():
            for number, _event in poll.poll(50):
                at = time.monotonic()
                self._events += [(at, kind) for kind in _kinds(by_number[number])]


def _listen() -> list[socket.socket]:
    sockets = []
    for protocol, groups in ((socket.NETLINK_ROUTE, (1, 5, 7, 8, 9, 11, 19, 24)), (12, (7,))):
        one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        one.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        one.bind((0, 0))
        for group in groups:
            one.setsockopt(270, 1, group)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
        sockets.append(one)
    return sockets


def _kinds(one: socket.socket) -> Iterator[int]:
    try:
        data = one.recv(1 << 20)
    except BlockingIOError:
        return
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        yield kind
        offset += max(16, (length + 3) & ~3)
