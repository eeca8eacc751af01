"""The endpoints of the lab: a TCP and a UDP server for each pod and host network, which identify themselves.

TCP: the client sends an 8-byte seed and PAYLOAD bytes generated from it. The server answers with the SHA-256 of the
request, one byte with the length of its name, its name, and PAYLOAD bytes generated from the reversed seed.
UDP: an echo, prefixed by the name and a zero byte.
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
    """Return PAYLOAD pseudo-random bytes."""
    return random.Random(seed).randbytes(PAYLOAD)


@dataclass(frozen=True)
class Listener:
    """One server. host: the host on which it listens; endpoint: the name with which it answers."""

    host: str
    endpoint: str
    address: str
    port: int


def listeners(options: LabOptions) -> list[Listener]:
    """Return all servers of a lab."""
    found = []
    for endpoint, host in (("pod1", "server1"), ("pod2", "server2"), ("host1", "node1"), ("host2", "node2")):
        found += [Listener(host, endpoint, *endpoint_address(endpoint, family)) for family in (4, 6)]
    if options.address_socket:
        found.append(Listener("node1", ADDRESS_SOCKET.name, ADDRESS_SOCKET.address, SERVICE_PORT))
    return found


def open_sockets(listener: Listener) -> tuple[socket.socket, socket.socket]:
    """Return the TCP and UDP socket of a server. Call it in the server's namespace."""
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    stream, datagram = socket.socket(family, socket.SOCK_STREAM), socket.socket(family, socket.SOCK_DGRAM)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for handle in (stream, datagram):
        handle.bind((listener.address, listener.port))
        handle.setblocking(False)
    stream.listen(1024)
    return stream, datagram


async def serve(listener: Listener, stream: socket.socket, datagram: socket.socket) -> asyncio.Server:
    """Start a server on these sockets in the running loop."""
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
            continue  # an ICMP error for an earlier datagram


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
                await reader.read(1)  # wait until the client closes
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return answer
