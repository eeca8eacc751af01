# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to the node's own addresses on the pool's link: host ports and NodePorts, with and without ``node_services``."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT, apply, assert_matrix, lab_of, pool_of
from tests.kernel.delivery.worlds import ONLINK, RANGES
from tests.kernel.packets.lab import CLIENTS, replies
from tests.lab import Lab
from tests.lab.delivery import BEHIND_ROUTERS
from tests.lab.flows import FlowError, open_socket, run_flow
from tests.lab.packets import TCP, Packet

FAMILIES = (4, 6)
OWN = {4: "1.2.3.251", 6: "fd00:1:2:3::251"}
HOST_PORT = 2222
#: NodePorts, their endpoints by family, and the names with which these answer
NODE_PORTS = {
    30001: ({4: "10.112.1.10:8080", 6: "[fd00:112:1::10]:8080"}, "pod1"),
    30002: ({4: "10.112.2.10:8080", 6: "[fd00:112:2::10]:8080"}, "pod2"),
    30003: ({4: "192.168.1.12:8081", 6: "[fd00:192:168:1::12]:8081"}, "host2"),
}
LINKS = pytest.mark.parametrize("link", [{}, {"dedicated": True}], ids=["shared", "dedicated"])
_ports = itertools.count(7000)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab whose nodes have addresses of their own on the pool's link, outside the pool, and NodePorts there."""
    with lab_of(rp_filter=1) as made:
        for number, node in ((1, made.nodes[0]), (2, made.nodes[1])):
            node.run(f"ip address add 1.2.3.25{number}/24 dev eth0.100")
            node.run(f"ip address add fd00:1:2:3::25{number}/64 dev eth0.100 nodad")
        node = made.nodes[0]
        for family, program in ((4, "iptables"), (6, "ip6tables")):
            for port, (endpoints, _name) in NODE_PORTS.items():
                match = f"-d {OWN[family]} -p tcp --dport {port}"
                node.run(f"{program} -w -t nat -I PREROUTING {match} -j DNAT --to-destination {endpoints[family]}")
                node.run(f"{program} -w -t nat -I POSTROUTING -m conntrack --ctorigdst {OWN[family]} -j MASQUERADE")
        yield made


def applied(lab: Lab, **changes: Any) -> None:
    """Apply the lab's pool as a range of the link's network."""
    apply(lab, pool_of(lab, networks=RANGES, onlink_networks=ONLINK, **changes))


def connects(lab: Lab, client: str, family: int, seconds: float) -> bool:
    """Whether a client can exchange data with a server of node1 itself."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    listening = lab.nodes[0].call(lambda: socket.create_server((OWN[family], HOST_PORT), family=kind))
    calling = lab.host(client).call(lambda: open_socket("tcp", family, next(_ports)))
    with closing(listening), closing(calling):
        calling.settimeout(seconds)
        listening.settimeout(TIMEOUT)
        try:
            calling.connect((OWN[family], HOST_PORT))
        except TimeoutError:
            return False
        answering, _address = listening.accept()
        with closing(answering):
            answering.sendall(b"welcome")
            return calling.recv(100) == b"welcome"


def endpoint(lab: Lab, client: str, family: int, port: int, seconds: float) -> str:
    """Return the endpoint that answers a flow of 64 KiB to a NodePort, ``""`` for none."""
    handle = lab.host(client).call(lambda: open_socket("tcp", family, next(_ports)))
    try:
        return asyncio.run(run_flow(handle, "tcp", (OWN[family], port), seconds))
    except FlowError:
        return ""


def is_reply(packet: Packet) -> bool:
    return packet.protocol == TCP


@LINKS
@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
def test_a_nodes_own_addresses_are_answered_through_the_gateway(lab: Lab, case: str, link: dict[str, Any]) -> None:
    applied(lab, case=case, node_services=True, **link)
    for client, family in itertools.product(CLIENTS, FAMILIES):
        with replies(lab, client, family, is_reply) as seen:
            assert connects(lab, client, family, TIMEOUT), (client, family)
            for port, (_endpoints, name) in NODE_PORTS.items():
                assert endpoint(lab, client, family, port, TIMEOUT) == name, (client, family, port)
            assert seen.expected.read()
            assert seen.unexpected() == []
    assert_matrix(lab)


def test_without_the_option_they_follow_the_nodes_own_routes(lab: Lab) -> None:
    applied(lab)
    for client, family in itertools.product(CLIENTS, FAMILIES):
        reached = client not in BEHIND_ROUTERS
        seconds = TIMEOUT if reached else LOST_TIMEOUT
        if client != "lan":  # there the node replies directly
            assert connects(lab, client, family, seconds) is reached, (client, family)
        for port in NODE_PORTS:
            assert bool(endpoint(lab, client, family, port, seconds)) is reached or client == "lan"
