# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller behind the default router of a node, and the node's SSH port: whether a new connection is possible."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import IPV4, IPV6
from tests.kernel.rollback.harms import BITS, CONTROLLER, NODE, PORT, ROUTER
from tests.lab import namespaces
from tests.lab.waiting import wait_until
from tests.support.node import Node

_SOCKETS = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6}
_CUT_SECONDS = (
    0.5  # without a reply a connection counts as impossible; too short is an error only for what must be cut off
)
_LENGTH = {IPV4: 24, IPV6: 64}


class Controller:
    """Connects to the node from behind its default router."""

    def __init__(self, node: Node, servers: Mapping[str, socket.socket]) -> None:
        self._peer = node.namespace("peer")
        self._servers = servers

    def reaches(self, family: str, address: str, seconds: float) -> bool:
        """Try once; the router has to resolve the node's address again."""
        namespaces.ip_batch(["neigh flush dev eth0"], self._peer)
        try:
            namespaces.in_namespace(self._peer, partial(self._connect, family, address, seconds))
        except OSError:
            return False
        self._servers[family].accept()[0].close()
        return True

    def is_cut_off(self, family: str, address: str) -> bool:
        """Whether no connection is possible."""
        return not self.reaches(family, address, _CUT_SECONDS)

    def await_node(self, addresses: Mapping[str, str] = NODE) -> None:
        """Wait until connections in both families are possible."""
        for family, address in addresses.items():
            wait_until(lambda f=family, a=address: self.reaches(f, a, 1.0), f"{address} is reachable", seconds=60.0)

    def _connect(self, family: str, address: str, seconds: float) -> None:
        with socket.socket(_SOCKETS[family], socket.SOCK_STREAM) as client:
            client.settimeout(seconds)
            client.bind((CONTROLLER[family], 0))
            client.connect((address, PORT))


@contextmanager
def controller_of(node: Node) -> Iterator[Controller]:
    """Give the other end of the node's eth0 the addresses of the default router and the controller, and listen on the node."""
    peer = node.namespace("peer")
    namespaces.write_sysctls(
        peer,
        # The other cables of the node end here, too: only on its own link does the controller have its addresses.
        {
            "net/ipv4/conf/all/arp_ignore": 1,
            "net/ipv6/conf/eth0/disable_ipv6": 0,
            "net/ipv6/conf/lo/disable_ipv6": 0,
            "net/ipv4/conf/eth0/rp_filter": 0,
        },
    )
    namespaces.ip_batch(
        [
            "link set lo up",
            *(f"address add {ROUTER[family]}/{_LENGTH[family]} dev eth0{_nodad(family)}" for family in _SOCKETS),
            *(f"address add {CONTROLLER[family]}/{BITS[family]} dev lo{_nodad(family)}" for family in _SOCKETS),
        ],
        peer,
    )
    servers = {family: namespaces.in_namespace(node.name, partial(_listen, family)) for family in _SOCKETS}
    try:
        controller = Controller(node, servers)
        controller.await_node()
        yield controller
    finally:
        for server in servers.values():
            server.close()


def _nodad(family: str) -> str:
    return " nodad" if family == IPV6 else ""


def _listen(family: str) -> socket.socket:
    server = socket.socket(_SOCKETS[family], socket.SOCK_STREAM)
    if family == IPV6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("", PORT))
    server.listen(16)
    return server
