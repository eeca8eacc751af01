# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP connection that stays open, and shows at any time whether replies still arrive."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import struct
import termios
import time
from typing import Self

from tests.lab import Lab
from tests.lab.flows import open_socket
from tests.lab.servers import SEED_SIZE, payload
from tests.lab.services import SERVICE_PORT

_PIECE = 4000
_TIMEOUT = 15.0  # seconds without progress after which a connection counts as lost
_ports = itertools.count(5000)  # below those of the lab's own flows; never used twice in one lab


class Stream:
    """A connection from a client to a service, whose request is sent piece by piece; the first piece is."""

    def __init__(self, lab: Lab, service: str, client: str = "outside", family: int = 4) -> None:
        self.client, self.port = client, next(_ports)
        self.name = f"{client} to {service}, IPv{family}"
        address = lab.services[service].address_of(family)
        assert address is not None, service
        self._socket = lab.host(client).call(lambda: open_socket("tcp", family, self.port))
        self._socket.settimeout(_TIMEOUT)
        seed = os.urandom(SEED_SIZE)
        self._request = seed + payload(seed)
        self._sent = 0
        try:
            self._socket.connect((address, SERVICE_PORT))
            assert self.push(), self.name
        except (OSError, AssertionError) as error:
            self._socket.close()
            raise AssertionError(f"{self.name}: not even connected: {error}") from error

    def push(self, seconds: float = _TIMEOUT) -> bool:
        """Send a piece, and return whether the other side has acknowledged everything."""
        piece = self._request[self._sent : self._sent + _PIECE]
        assert piece, "nothing is left to send"
        self._socket.sendall(piece)
        self._sent += len(piece)
        deadline = time.monotonic() + seconds
        while self._unacknowledged():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _unacknowledged(self) -> int:
        answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("=i", answer)[0])

    def finish(self) -> None:
        """Send the rest and receive the answer; both must be whole."""
        self._socket.sendall(self._request[self._sent :])
        head = self._receive(33)
        self._receive(head[32])
        assert head[:32] == hashlib.sha256(self._request).digest(), f"{self.name}: other bytes arrived than were sent"
        answer = payload(self._request[SEED_SIZE - 1 :: -1])
        assert self._receive(len(answer)) == answer, f"{self.name}: other bytes came back"

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            assert part, f"{self.name}: closed after {len(data)} of {size} bytes"
            data += part
        return bytes(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()
