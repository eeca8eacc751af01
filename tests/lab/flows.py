"""The client side of a flow: TCP with 64 KiB of verified content each way, or UDP echoes of increasing size."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from .servers import PAYLOAD, SEED_SIZE, payload

UDP_SIZES = (32, 512, 1200)


class FlowError(Exception):
    """A flow failed; the text says at which step."""


def open_socket(protocol: str, family: int, port: int) -> socket.socket:
    """Return a client socket bound to a port. Call it in the client's namespace."""
    handle = socket.socket(
        socket.AF_INET if family == 4 else socket.AF_INET6,
        socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM,
    )
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    handle.bind(("", port))
    handle.setblocking(False)
    return handle


async def run_flow(handle: socket.socket, protocol: str, target: tuple[str, int], timeout: float) -> str:
    """Run the flow and return the endpoint's name. timeout: seconds without progress. Raises FlowError."""
    try:
        return await (_tcp if protocol == "tcp" else _udp)(handle, target, timeout)
    except OSError as error:
        raise FlowError(os.strerror(error.errno) if error.errno else str(error)) from error
    finally:
        handle.close()


async def _step(action: Callable[[], Awaitable[object]], timeout: float, what: str) -> object:
    try:
        async with asyncio.timeout(timeout):
            return await action()
    except TimeoutError:
        raise FlowError(f"{what}: no answer in {timeout} s") from None


async def _tcp(handle: socket.socket, target: tuple[str, int], timeout: float) -> str:
    loop = asyncio.get_running_loop()
    await _step(lambda: loop.sock_connect(handle, target), timeout, "connect")
    seed = os.urandom(SEED_SIZE)
    request = seed + payload(seed)
    view = memoryview(request)
    while view:
        part = view[:16384]
        await _step(partial(loop.sock_sendall, handle, part), timeout, "send")
        view = view[16384:]
    answer = bytearray()
    expected = 33
    while len(answer) < expected:
        data = await _step(lambda: loop.sock_recv(handle, 65536), timeout, f"receive after {len(answer)} bytes")
        if not data:
            raise FlowError(f"closed after {len(answer)} of {expected} bytes")
        answer += data  # type: ignore[arg-type]
        if len(answer) >= 33:
            expected = 33 + answer[32] + PAYLOAD
    name = answer[33 : 33 + answer[32]].decode()
    if answer[:32] != hashlib.sha256(request).digest():
        raise FlowError(f"{name} received different bytes than were sent")
    if answer[33 + len(name) :] != payload(seed[::-1]):
        raise FlowError(f"{name} sent wrong bytes")
    return name


async def _udp(handle: socket.socket, target: tuple[str, int], timeout: float) -> str:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(handle, target)
    name = ""
    for size in UDP_SIZES:
        data = os.urandom(size)
        await loop.sock_sendall(handle, data)
        answer = await _step(lambda: loop.sock_recv(handle, 65536), timeout, f"echo of {size} bytes")
        encoded, _, echoed = bytes(answer).partition(b"\0")  # type: ignore[call-overload]
        if echoed != data:
            raise FlowError(f"echo of {size} bytes came back changed")
        name = encoded.decode()
    return name
