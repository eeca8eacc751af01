# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single packets in the lab: where they are seen, and services whose endpoints do not listen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.kernel.delivery.lab import TIMEOUT
from tests.lab import Host, Lab
from tests.lab.flows import open_socket, run_flow
from tests.lab.packets import Packet, Sniffer
from tests.lab.topology import node_macs

#: A service of one pod on node1, announced by node1, and the ports that ``add_ports`` gives it
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


def add_ports(lab: Lab) -> None:
    """Give the service more ports on node1: some whose endpoints do not listen, and one of node1's own server."""
    node = lab.host("node1")
    for family, program in ((4, "iptables"), (6, "ip6tables")):
        tables = f"{program}-{lab.options.variant} -w -t nat"
        for protocol in ("tcp", "udp"):
            for port, target in _TARGETS[family].items():
                match = f"-d {ADDRESS[family]} -p {protocol} --dport {port}"
                node.run(f"{tables} -I PREROUTING {match} -j DNAT --to-destination {target}")
            node.run(f"{tables} -I POSTROUTING -d {_FAR_POD[family]} -p {protocol} --dport 99 -j MASQUERADE")


def unlimit_errors(lab: Lab) -> None:
    """Remove the kernel's limit of ICMP errors per second, by which tests would affect each other."""
    for name in ("node1", "node2", "server1", "server2"):
        lab.host(name).set_sysctl("net/ipv4/icmp_ratelimit", 0)
        lab.host(name).set_sysctl("net/ipv6/icmp/ratelimit", 0)


def flush_path_mtus(lab: Lab) -> None:
    """Flush the path MTUs that the hosts have discovered."""
    for plan in lab.plans:
        lab.host(plan.name).run("ip -4 route flush cache; ip -6 route flush cache")


@dataclass
class Replies:
    """Where packets to one client were seen: on the expected path, and on every other."""

    expected: Sniffer
    others: list[Sniffer]

    def unexpected(self) -> list[Packet]:
        """Return the packets on the other paths."""
        return [packet for sniffer in self.others for packet in sniffer.read()]


@contextmanager
def replies(lab: Lab, client: str, family: int, accept: Callable[[Packet], bool] = lambda _: True) -> Iterator[Replies]:
    """Watch what nodes send to a client, through the pool's router, or directly if it is on the link."""
    address, macs = CLIENTS[client][family], node_macs()

    def from_node(packet: Packet) -> bool:
        return packet.destination == address and packet.source_mac in macs and not packet.outgoing and accept(packet)

    links = [("poolrouter", "pool"), ("router", "lan"), (client, "eth0")]
    first = links.pop(2 if client == "onlink" else 0)
    with ExitStack() as stack:
        expected, *others = [
            stack.enter_context(Sniffer(lab.host(host), link, from_node)) for host, link in (first, *links)
        ]
        yield Replies(expected, others)


def outcome(host: Host, protocol: str, target: tuple[str, int], seconds: float) -> str:
    """Try a port, and return the outcome: ``refused``, ``silence`` or ``answer``."""
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
    return asyncio.run(run_flow(handle, "tcp", (ADDRESS[family], port), TIMEOUT))
