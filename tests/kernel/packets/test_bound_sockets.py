# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that are bound to the pool's link reach the hosts on it, as MetalLB's answers to neighbour solicitations do."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, declared

ONLINK, LINK_LOCAL = "fd00:1:2:3::50", "fe80::fcff:1"
#: A neighbour advertisement without options (RFC 4861, section 4.4); the kernel fills in the checksum.
ADVERTISEMENT = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + socket.inet_pton(socket.AF_INET6, "fd00:1:2:3::7")


def advertise(node: Node, link: str, destination: str) -> str:
    """Send an advertisement as MetalLB does, from a socket bound to a link-local address; return the error or ``""``."""
    node.host.run(f"ip address replace {LINK_LOCAL}/64 dev {link} nodad")

    def send() -> str:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as handle:
            handle.bind((LINK_LOCAL, 0, 0, socket.if_nametoindex(link)))
            try:
                handle.sendto(ADVERTISEMENT, (destination, 0))
            except OSError as error:
                return str(error.strerror)
            return ""

    return node.host.call(send)


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
@pytest.mark.parametrize("case", ["policy_routing", "source_routing"])
@pytest.mark.parametrize("changes", [{}, {"interface": "eth2"}, {"dedicated": False}], ids=["link", "shared", "option"])
def test_a_bound_socket_reaches_hosts_on_the_link(node: Node, changes: dict[str, Any], case: str, mode: str) -> None:
    pool = {**EXTERNAL, "case": case, **changes}
    assert advertise(node, pool["interface"], ONLINK) == "Network is unreachable", "the control"
    node.change("pool_routing", declared(pool, cluster={"kube_proxy_mode": mode}))
    assert advertise(node, pool["interface"], ONLINK) == ""
    assert advertise(node, "eth1", ONLINK) == "Network is unreachable", "other links are unaffected"
    node.change("pool_routing", ABSENT)
    assert advertise(node, pool["interface"], ONLINK) == "Network is unreachable"
