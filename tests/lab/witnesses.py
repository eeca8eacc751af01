"""By which way the replies of a flow left: sniffers on the routers and on the clients next door, told apart by the
client's port, which no other flow of the lab has.

    default   a packet from a pool address came into the default router from the nodes' LAN
    pool      it came into the pool router from the pool's segment
    second    it came into the second pool's router from that pool's segment
    direct    the client's own link had it from a node's MAC; also every reply that crossed none of these (nodes, pods)
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
    """Watches from its making on; ways(port) tells by which ways replies to this client port went."""

    def __init__(self, lab: Lab) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in pool_networks(lab.options))
        self._macs = node_macs()
        self._is_pool: dict[str, bool] = {}
        places = {"default": ("router", "lan"), "pool": ("poolrouter", "pool"), "second": ("router2", "second")}
        names = {plan.name for plan in lab.plans}
        self._sniffers = [
            (way, Sniffer(lab.host(host), link, self._is_reply))
            for way, (host, link) in places.items()
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
        """Let the loop empty the sniffers while flows run, so that no buffer overflows."""
        for _, sniffer in self._sniffers:
            loop.add_reader(sniffer.socket, sniffer.take)

    def detach(self, loop: asyncio.AbstractEventLoop) -> None:
        for _, sniffer in self._sniffers:
            loop.remove_reader(sniffer.socket)

    def ways(self) -> dict[int, tuple[str, ...]]:
        """Client port -> the ways replies to it went, in the order of WAYS."""
        seen: dict[int, set[str]] = defaultdict(set)
        for way, sniffer in self._sniffers:
            for packet in sniffer.read():
                seen[packet.destination_port].add(way)
        return {port: tuple(way for way in WAYS if way in found) for port, found in seen.items()}

    def close(self) -> None:
        for _, sniffer in self._sniffers:
            sniffer.close()
