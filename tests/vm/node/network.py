# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network around a node: a switch for the node's trunk, two routers, and a client behind the pool's router.

    lan   untagged    192.168.1.1   the default router, which forwards nothing for the pool
    pool  VLAN 100    1.2.3.1       the pool's router, with the client 203.0.113.50
    other VLAN 101                  for links that are not the collection's

Each is a network namespace with a tap. The switch is a thread that handles VLAN tags, because this machine's kernel may lack
802.1Q.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import selectors
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import namespaces
from tests.lab.flows import FlowError, open_socket, run_flow

from .image import TRUNK_MAC

PREFIX = "homeward-reboot"
Flow = tuple[str, str]  # address and protocol
CLIENT = {4: "203.0.113.50", 6: "fd00:203:0:113::50"}
VLAN_OF = {"lan": 0, "pool": 100, "other": 101}
_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
_SEND_SECONDS = 10
_TAG = b"\x81\x00"
#: Addresses that MetalLB's speaker would announce with the trunk's MAC, which the VLAN link inherits.
ANNOUNCED = ("1.2.3.7", "1.2.3.10", "fd00:1:2:3::21")
_HOSTS: dict[str, tuple[str, ...]] = {
    "other": (),
    "lan": ("address add 192.168.1.1/24 dev lan", "address add fd00:192:168:1::1/64 dev lan nodad"),
    "pool": (
        "address add 1.2.3.1/24 dev pool noprefixroute",
        "address add fd00:1:2:3::1/64 dev pool nodad noprefixroute",
        *(f"address add {address} dev lo{' nodad' if ':' in address else ''}" for address in CLIENT.values()),
        # Requests come from the client's address, not the router's
        f"route add 1.2.3.0/24 dev pool src {CLIENT[4]}",
        f"route add fd00:1:2:3::/64 dev pool src {CLIENT[6]}",
        *(f"neighbour add {address} lladdr {TRUNK_MAC} dev pool nud permanent" for address in ANNOUNCED),
    ),
}


@dataclass
class NodeNetwork:
    """The network to which a node is connected.

    :param sockets: the node's and the switch's end of the trunk, for qemu.
    """

    sockets: tuple[Path, Path]
    _taps: dict[int, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def reach(self, flows: Iterable[Flow], timeout: float) -> dict[Flow, str]:
        """Run flows from the client, all at once. Return the endpoint's name of each, or ``no: `` and the failed step.

        :param timeout: seconds without progress.
        """
        flows = list(flows)
        namespace = f"{PREFIX}-pool"
        handles = namespaces.in_namespace(
            namespace, lambda: [open_socket(protocol, 6 if ":" in address else 4, 0) for address, protocol in flows]
        )
        return dict(zip(flows, asyncio.run(_run_all(flows, handles, timeout)), strict=True))

    def in_lan(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command in the default router's namespace."""
        return ["nsenter", f"--net={namespaces.NAMESPACE_FOLDER / f'{PREFIX}-lan'}", "--", *command]

    def switch(self) -> None:
        """Forward frames between the trunk and the taps until stopped.

        The switch blocks while the node cannot receive, because a lost datagram would fail a UDP flow.
        """
        own, node = self.sockets[1], self.sockets[0]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trunk, selectors.DefaultSelector() as ready:
            trunk.bind(str(own))
            trunk.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_SECONDS, 0))
            ready.register(trunk, selectors.EVENT_READ)
            for vlan, tap in self._taps.items():
                ready.register(tap, selectors.EVENT_READ, vlan)
            while not self._stop.is_set():
                for key, _ in ready.select(0.2):
                    # A frame for a stopped node is lost
                    with contextlib.suppress(OSError):
                        if key.fileobj is trunk:
                            self._from_trunk(trunk.recv(65536, socket.MSG_DONTWAIT))
                        else:
                            trunk.sendto(_tagged(os.read(key.fd, 65536), key.data), str(node))

    def _from_trunk(self, frame: bytes) -> None:
        vlan, untagged = 0, frame
        if frame[12:14] == _TAG:
            vlan, untagged = struct.unpack_from("!H", frame, 14)[0] & 0xFFF, frame[:12] + frame[16:]
        if vlan in self._taps:
            os.write(self._taps[vlan], untagged)


async def _run_all(flows: Sequence[Flow], handles: Sequence[socket.socket], timeout: float) -> list[str]:
    async def one(flow: Flow, handle: socket.socket) -> str:
        address, protocol = flow
        try:
            return await run_flow(handle, protocol, (address, 80), timeout)
        except FlowError as error:
            return f"no: {error}"

    return await asyncio.gather(*(one(flow, handle) for flow, handle in zip(flows, handles, strict=True)))


def _tagged(frame: bytes, vlan: int) -> bytes:
    return frame if not vlan else frame[:12] + _TAG + struct.pack("!H", vlan) + frame[12:]


def _open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    return tap


@contextmanager
def created(folder: Path) -> Iterator[NodeNetwork]:
    """Create the network around a node; it is removed when the block ends.

    :param folder: folder for the sockets; its path must be short, as a socket's path has at most 107 bytes.
    """
    namespaces.delete(namespaces.existing(PREFIX))
    found = NodeNetwork((folder / "node.socket", folder / "switch.socket"))
    thread = threading.Thread(target=found.switch, name="switch")
    try:
        for name, vlan in VLAN_OF.items():
            _make_host(found, name, vlan)
        thread.start()
        yield found
    finally:
        found._stop.set()  # noqa: SLF001 - of this module
        if thread.ident:
            thread.join()
        for tap in found._taps.values():  # noqa: SLF001
            os.close(tap)
        namespaces.delete(namespaces.existing(PREFIX))


def _make_host(found: NodeNetwork, name: str, vlan: int) -> None:
    namespace = f"{PREFIX}-{name}"
    namespaces.ip_batch([f"netns add {namespace}"])
    namespaces.write_sysctls(namespace, {"net/ipv4/conf/all/rp_filter": 0, "net/ipv4/conf/default/rp_filter": 0})
    found._taps[vlan] = namespaces.in_namespace(namespace, lambda: _open_tap(name))  # noqa: SLF001
    namespaces.ip_batch(["link set lo up", f"link set {name} up", *_HOSTS[name]], namespace)
