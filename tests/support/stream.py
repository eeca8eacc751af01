# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP connection that stays open, and tells at any time whether replies still come home."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import termios
import time
from types import TracebackType
from typing import Self

from tests.kernel.delivery.lab import PATIENCE
from tests.lab import Lab
from tests.lab.flows import open_socket
from tests.lab.servers import SEED_SIZE, payload
from tests.lab.services import SERVICE_PORT

_PIECE = 4000


class Stream:
    """A connection from a client to a service, whose request is sent piece by piece."""

    def __init__(self, lab: Lab, client: str, service: str, family: int, port: int) -> None:
        self.client, self.port = client, port
        self.name = f"{client} to {service}, IPv{family}"
        address = lab.services[service].address_of(family)
        assert address is not None, service
        self._socket = lab.host(client).call(lambda: open_socket("tcp", family, port))
        self._socket.settimeout(PATIENCE)
        self._socket.connect((address, SERVICE_PORT))
        seed = os.urandom(SEED_SIZE)
        self._request = seed + payload(seed)
        self._sent = 0

    def push(self, seconds: float = PATIENCE) -> bool:
        """Send a piece, and return whether the other side has acknowledged all there was to acknowledge."""
        piece = self._request[self._sent : self._sent + _PIECE]
        assert piece, "nothing is left to send"
        self._socket.sendall(piece)
        self._sent += len(piece)
        deadline = time.monotonic() + seconds
        while self._waiting():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _waiting(self) -> int:
        """Return how many bytes are not acknowledged yet."""
        answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("=i", answer)[0])

    def finish(self) -> str:
        """Send the rest, receive the answer, and return the endpoint's name; both must be whole."""
        self._socket.sendall(self._request[self._sent :])
        head = self._receive(33)
        name = self._receive(head[32]).decode()
        assert head[:32] == hashlib.sha256(self._request).digest(), self.name
        answer = payload(self._request[SEED_SIZE - 1 :: -1])
        assert self._receive(len(answer)) == answer, self.name
        return name

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            assert part, f"{self.name}: closed after {len(data)} of {size} bytes"
            data += part
        return bytes(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
