# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open connections continue while other pools are applied, changed and removed."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT, apply, lab_of, pool_of, remove
from tests.kernel.packets.lab import ADDRESS, add_ports
from tests.lab import Lab
from tests.lab.delivery import BEHIND_ROUTERS, expected_ways
from tests.lab.witnesses import Witnesses
from tests.support.stream import Stream

#: One for each place of the endpoint: a pod or the host, on the announcing node or on the other
SERVICES = (("lo-p1", 4), ("cl-p2", 4), ("lo-host1", 4), ("cl-host1", 4), ("ds-lo-p1", 6), ("ds-cl-p1", 6))
OTHER: dict[str, Any] = {
    "name": "other",
    "networks": ["1.2.4.0/24", "fd00:1:2:4::/64"],
    "interface": "eth0",
    "gateways": ["1.2.4.1", "fd00:1:2:4::1"],
}
#: Hosts that reply when the test says so, the service's port that leads to them, and their addresses
WAITING = (
    ("server1", 81, {4: "10.112.1.10", 6: "fd00:112:1::10"}),
    ("node1", 82, {4: "192.168.1.11", 6: "fd00:192:168:1::11"}),
    ("server2", 83, {4: "10.112.2.10", 6: "fd00:112:2::10"}),
)


@contextmanager
def streams(lab: Lab, clients: tuple[str, ...]) -> Iterator[list[Stream]]:
    """Open connections from all these clients to each of the services."""
    with ExitStack() as stack:
        pairs = itertools.product(clients, SERVICES)
        yield [stack.enter_context(Stream(lab, service, client, family)) for client, (service, family) in pairs]


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
def test_open_connections_continue(shared: bool) -> None:
    """While another pool is added, changed and removed; until their own pool is removed."""
    with lab_of(shared_link=shared, rp_filter=1) as lab:
        own = pool_of(lab)
        moved = {**OTHER, "gateways": ["1.2.4.2", "fd00:1:2:4::2"]}
        apply(lab, own)
        witnesses = Witnesses(lab)
        try:
            with streams(lab, (*BEHIND_ROUTERS, "onlink")) as opened:
                for pools in ((own,), (OTHER, own), (own, OTHER), (own, moved), (moved, own), (own,)):
                    apply(lab, *pools)
                    assert [one.name for one in opened if not one.push()] == [], pools
                ways = witnesses.ways()
                assert {one.name: ways[one.port] for one in opened} == {
                    one.name: expected_ways(one.client) for one in opened
                }
                spare = opened[0]
                for one in opened[1:]:
                    one.finish()
                remove(lab)
                assert not spare.push(LOST_TIMEOUT), "the control: without the pool a connection does not stay"
        finally:
            witnesses.close()


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
def test_a_delayed_reply_leaves_through_the_pools_gateway(shared: bool) -> None:
    """A gateway keeps its mark whatever is added before it: no request sets the connection's mark again meanwhile."""
    with lab_of(shared_link=shared, rp_filter=1) as lab, ExitStack() as stack:
        add_ports(lab)
        apply(lab, pool_of(lab))
        waiting = []
        for family, (host, port, address) in itertools.product((4, 6), WAITING):
            server = stack.enter_context(udp_socket(lab, host, family, (address[family], 99)))
            client = stack.enter_context(udp_socket(lab, "outside", family))
            client.sendto(b"question", (ADDRESS[family], port))
            waiting.append((server, client, server.recvfrom(100)[1]))
        apply(lab, OTHER, pool_of(lab))
        apply(lab, {**OTHER, "name": "first"}, pool_of(lab))
        for server, client, asker in waiting:
            server.sendto(b"answer", asker)
            assert client.recv(100) == b"answer"


def udp_socket(lab: Lab, host: str, family: int, address: tuple[str, int] | None = None) -> socket.socket:
    """Return a UDP socket of a host."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    handle = lab.host(host).call(lambda: socket.socket(kind, socket.SOCK_DGRAM))
    handle.settimeout(TIMEOUT)
    if address:
        handle.bind(address)
    return handle
