# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single packets in the lab: who saw one of them where, and services that lead to ports on which nobody listens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.kernel.delivery.lab import PATIENCE
from tests.lab import Host, Lab
from tests.lab.flows import open_socket, run_flow
from tests.lab.packets import Packet, Sniffer
from tests.lab.topology import node_macs

#: A service of one pod on node1, announced by node1, and the ports that ``lead_elsewhere`` gives it
ADDRESS = {4: "1.2.3.7", 6: "fd00:1:2:3::21"}
CLOSED_PORTS = {"pod": 81, "host": 82, "far pod": 83}
HOST_PORT = 84
CLIENTS = {
    "outside": {4: "203.0.113.50", 6: "fd00:203:0:113::50"},
    "lan": {4: "192.168.1.50", 6: "fd00:192:168:1::50"},
    "onlink": {4: "1.2.3.50", 6: "fd00:1:2:3::50"},
}
_TARGETS = {
    4: {81: "10.112.1.10:99", 82: "192.168.1.11:99", 83: "10.112.2.10:99", 84: "192.168.1.11:8081"},
    6: {
        81: "[fd00:112:1::10]:99",
        82: "[fd00:192:168:1::11]:99",
        83: "[fd00:112:2::10]:99",
        84: "[fd00:192:168:1::11]:8081",
    },
}
_FAR_POD = {4: "10.112.2.10", 6: "fd00:112:2::10"}


def lead_elsewhere(lab: Lab) -> None:
    """Give the service further ports, on node1: to endpoints that do not listen, and one to node1's own server."""
    node = lab.host("node1")
    for family, program in ((4, "iptables"), (6, "ip6tables")):
        tables = f"{program}-{lab.options.variant} -w -t nat"
        for protocol in ("tcp", "udp"):
            for port, target in _TARGETS[family].items():
                match = f"-d {ADDRESS[family]} -p {protocol} --dport {port}"
                node.run(f"{tables} -I PREROUTING {match} -j DNAT --to-destination {target}")
            node.run(f"{tables} -I POSTROUTING -d {_FAR_POD[family]} -p {protocol} --dport 99 -j MASQUERADE")


def send_errors_freely(lab: Lab) -> None:
    """Lift the kernel's limit of ICMP errors per second, which would make tests depend on each other."""
    for name in ("node1", "node2", "server1", "server2"):
        lab.host(name).set_sysctl("net/ipv4/icmp_ratelimit", 0)
        lab.host(name).set_sysctl("net/ipv6/icmp/ratelimit", 0)


def forget_sizes(lab: Lab) -> None:
    """Let all hosts forget what they learnt of how large packets may be on a path."""
    for plan in lab.plans:
        lab.host(plan.name).run("ip -4 route flush cache; ip -6 route flush cache")


@dataclass
class Replies:
    """Where packets to one client were seen: on the way home, and on every wrong way."""

    home: Sniffer
    wrong: list[Sniffer]

    def wrong_ones(self) -> list[Packet]:
        """Return what was seen elsewhere."""
        return [packet for sniffer in self.wrong for packet in sniffer.read()]


@contextmanager
def replies(lab: Lab, client: str, family: int, wanted: Callable[[Packet], bool] = lambda _: True) -> Iterator[Replies]:
    """Watch what nodes send to a client: home is the pool's router, for a client on the link its own link."""
    address, macs = CLIENTS[client][family], node_macs()

    def from_node(packet: Packet) -> bool:
        return packet.destination == address and packet.source_mac in macs and not packet.outgoing and wanted(packet)

    places = [("poolrouter", "pool"), ("router", "lan"), (client, "eth0")]
    first = places.pop(2 if client == "onlink" else 0)
    with ExitStack() as stack:
        home, *wrong = [
            stack.enter_context(Sniffer(lab.host(host), link, from_node)) for host, link in (first, *places)
        ]
        yield Replies(home, wrong)


def refusal(host: Host, protocol: str, target: tuple[str, int], seconds: float) -> str:
    """Try a port, and return what came of it: ``refused``, ``silence`` or ``answer``."""
    family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET

    def attempt() -> str:
        with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as handle:
            handle.settimeout(seconds)
            try:
                handle.connect(target)
                if protocol == "udp":
                    handle.send(b"homeward")
                    handle.recv(100)
            except ConnectionRefusedError:
                return "refused"
            except TimeoutError:
                return "silence"
            return "answer"

    return host.call(attempt)


def flow(lab: Lab, client: str, family: int, port: int, source_port: int) -> str:
    """Send and receive 64 KiB by TCP on a port of the service; return the endpoint's name."""
    handle = lab.host(client).call(lambda: open_socket("tcp", family, source_port))
    return asyncio.run(run_flow(handle, "tcp", (ADDRESS[family], port), PATIENCE))
