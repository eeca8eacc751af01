"""Observers of the paths of replies: sniffers on the routers and on directly connected clients.

The client's port, which is unique in the lab, identifies a flow. The paths ("ways"):

    default   a packet from a pool address arrived at the default router, from the nodes' LAN
    pool      it arrived at the pool's router, from the pool's segment
    second    it arrived at the second pool's router, from that pool's segment
    direct    it arrived at the client from a node's MAC, or crossed no sniffer (clients on nodes and in pods)
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING

from .kube_proxy_rules import pool_networks
from .packets import Packet, Sniffer
from .topology import node_macs

if TYPE_CHECKING:
    from .lab import Lab

WAYS = ("default", "pool", "second", "direct")


class Witnesses:
    """Records the paths of all replies from its creation until close()."""

    def __init__(self, lab: Lab) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in pool_networks(lab.options))
        self._macs = node_macs()
        self._is_pool: dict[str, bool] = {}
        routers = {"default": ("router", "lan"), "pool": ("poolrouter", "pool"), "second": ("router2", "second")}
        names = {plan.name for plan in lab.plans}
        self._sniffers = [
            (way, Sniffer(lab.host(host), link, self._is_reply))
            for way, (host, link) in routers.items()
            if host in names
        ]
        self._sniffers += [
            ("direct", Sniffer(lab.host(name), "eth0", self._is_direct_reply))
            for name in ("lan", "onlink")
            if name in names
        ]

    def _is_reply(self, packet: Packet) -> bool:
        return not packet.outgoing and self._in_pool(packet.source) and packet.source_port != 0

    def _is_direct_reply(self, packet: Packet) -> bool:
        return packet.source_mac in self._macs and self._is_reply(packet)

    def _in_pool(self, address: str) -> bool:
        if address not in self._is_pool:
            parsed = ipaddress.ip_address(address)
            self._is_pool[address] = any(
                parsed.version == network.version and parsed in network for network in self._networks
            )
        return self._is_pool[address]

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop empty the sniffers while flows run, so that no buffer overflows."""
        for _, sniffer in self._sniffers:
            loop.add_reader(sniffer.socket, sniffer.take)

    def detach(self, loop: asyncio.AbstractEventLoop) -> None:
        for _, sniffer in self._sniffers:
            loop.remove_reader(sniffer.socket)

    def ways(self) -> dict[int, tuple[str, ...]]:
        """Return the paths of the replies by client port, in the order of WAYS."""
        seen: dict[int, set[str]] = defaultdict(set)
        for way, sniffer in self._sniffers:
            for packet in sniffer.read():
                seen[packet.destination_port].add(way)
        return {port: tuple(way for way in WAYS if way in found) for port, found in seen.items()}

    def close(self) -> None:
        for _, sniffer in self._sniffers:
            sniffer.close()
