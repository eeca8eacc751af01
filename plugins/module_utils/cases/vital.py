# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that the node needs: no pool may cover them and no route may divert them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from ..declaration.model import Declaration
from ..state import Node
from ..state.family import covering
from ..state.node import IPVS_LINKS


@dataclass(frozen=True)
class VitalAddress:
    """An address that the node needs.

    :param description: what it is, for messages.
    :param interface: the link whose pools may cover it, as their address for this node; ``""`` for none.
    """

    address: str
    description: str
    interface: str = ""


def find_vital_addresses(declaration: Declaration, node: Node) -> Iterator[VitalAddress]:
    """Yield the node's own addresses, the peer of this run's connection, API servers and default gateways."""
    vital_links = {route.interface for route in node.default_routes} | {node.ssh_interface}
    for own in sorted(node.foreign_addresses):
        if not is_link_local(own.address) and own.interface not in IPVS_LINKS:
            allowed = "" if own.interface in vital_links else own.interface
            yield VitalAddress(own.address.partition("/")[0], f"this node's own address on {own.interface}", allowed)
    yield from find_vital_peers(declaration, node)
    for route in node.default_routes:
        if route.gateway and not is_link_local(route.gateway):
            yield VitalAddress(route.gateway, f"the node's default gateway on {route.interface}")


def find_vital_peers(declaration: Declaration, node: Node) -> Iterator[VitalAddress]:
    """Yield the hosts that the node must reach: the peer of this run's connection, and API servers."""
    if node.ssh_peer:
        yield VitalAddress(node.ssh_peer, "the peer of this run's SSH connection")
    for server in dict.fromkeys((*declaration.cluster.api_servers, *node.api_servers)):
        yield VitalAddress(server, "a Kubernetes API server")


def find_servers(declaration: Declaration, node: Node) -> Iterator[VitalAddress]:
    """Yield the hosts that the node needs and that may move to another link: API servers, and DNS servers outside the pools.

    The cluster itself may serve DNS, at an address of a pool.
    """
    for server in dict.fromkeys((*declaration.cluster.api_servers, *node.api_servers)):
        if not ipaddress.ip_address(server).is_loopback:
            yield VitalAddress(server, "a Kubernetes API server")
    networks = [network for pool in declaration.pools for network in pool.networks]
    for server in node.dns_servers:
        if not covering(networks, server):
            yield VitalAddress(server, "a DNS server of this node")


def is_link_local(address: str) -> bool:
    """Whether an address, with or without a length, is link-local (RFC 3927, RFC 4291 section 2.5.6)."""
    return ipaddress.ip_interface(address).is_link_local
