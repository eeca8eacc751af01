"""The endpoints of the lab: one TCP and one UDP server per pod and host network, which say who they are.

TCP: the client sends 8 bytes of seed and PAYLOAD bytes made from it; the server answers with the SHA-256 of what came,
one byte of length and its name, and PAYLOAD bytes made from the seed turned round. UDP: an echo, the name in front.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .options import LabOptions
from .services import ADDRESS_SOCKET, SERVICE_PORT, endpoint_address

SEED_SIZE = 8
PAYLOAD = 64 * 1024
CONNECTION_SECONDS = 30.0


def payload(seed: bytes) -> bytes:
    """PAYLOAD bytes that anyone who knows the seed can make."""
    return random.Random(seed).randbytes(PAYLOAD)


@dataclass(frozen=True)
class Listener:
    """Where one server listens. host: name of the namespace's host; endpoint: what it calls itself."""

    host: str
    endpoint: str
    address: str
    port: int


def listeners(options: LabOptions) -> list[Listener]:
    """Every server of a lab."""
    found = []
    for endpoint, host in (("pod1", "server1"), ("pod2", "server2"), ("host1", "node1"), ("host2", "node2")):
        found += [Listener(host, endpoint, *endpoint_address(endpoint, family)) for family in (4, 6)]
    if options.address_socket:
        found.append(Listener("node1", ADDRESS_SOCKET.name, ADDRESS_SOCKET.address, SERVICE_PORT))
    return found


def open_sockets(listener: Listener) -> tuple[socket.socket, socket.socket]:
    """The TCP and UDP socket of a server; call within its namespace."""
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    stream, datagram = socket.socket(family, socket.SOCK_STREAM), socket.socket(family, socket.SOCK_DGRAM)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for handle in (stream, datagram):
        handle.bind((listener.address, listener.port))
        handle.setblocking(False)
    stream.listen(1024)
    return stream, datagram


async def serve(listener: Listener, stream: socket.socket, datagram: socket.socket) -> asyncio.Server:
    """Serve on these sockets in the running loop."""
    name = listener.endpoint.encode()
    asyncio.get_running_loop().add_reader(datagram, echo_datagrams, datagram, name)
    return await asyncio.start_server(answer_with(name), sock=stream, limit=1 << 20)


def echo_datagrams(handle: socket.socket, name: bytes) -> None:
    while True:
        try:
            data, sender = handle.recvfrom(65535)
            handle.sendto(name + b"\0" + data, sender)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error of an earlier datagram; the next one is read


def answer_with(name: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                request = await reader.readexactly(SEED_SIZE + PAYLOAD)
                reply = (
                    hashlib.sha256(request).digest() + bytes([len(name)]) + name + payload(request[SEED_SIZE - 1 :: -1])
                )
                writer.write(reply)
                await writer.drain()
                await reader.read(1)  # until the client closes: it has everything then
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return answer
