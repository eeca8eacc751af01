# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process caused an event, as far as the kernel says. Only reported; no decision depends on it."""

from __future__ import annotations

import os
from pathlib import Path

from .sockets import NETLINK_ROUTE

_PID_BITS = 22  # the highest pid is below 1 << 22; netlink libraries put a counter into the bits above
_NETLINK_SOCKETS = Path("/proc/self/net/netlink")


class Originators:
    """Names the processes behind a burst of events; names are looked up once."""

    def __init__(self) -> None:
        self._of_port: dict[int, str] = {}

    def of_port(self, port: int) -> str:
        """Return the process with this rtnetlink port, ``""`` for the kernel and for this process."""
        if port not in self._of_port:
            self._of_port[port] = _of_port(port)
        return self._of_port[port]

    def of_process(self, process: tuple[int, str]) -> str:
        """Return the process with this pid and name, ``""`` if it has no name."""
        pid, name = process
        return f"{name} (pid {pid})" if name else ""


def _of_port(port: int) -> str:
    """Return the process that owns the socket.

    By default the port is the pid, but a process in a container has another pid there than here. The process with this pid
    is therefore named only if it owns the socket, or is just ending.
    """
    pid = port & ((1 << _PID_BITS) - 1)
    if not port or pid == os.getpid():
        return ""
    socket = _socket_of(port)
    if (socket and socket in _sockets_of(pid)) or (port == pid and _is_ending(pid)):
        return f"{_name_of(pid)} (pid {pid})"
    if port != pid:
        return ""
    if socket or Path(f"/proc/{pid}").exists():
        return f"a process elsewhere (netlink port {port})"
    return f"a process that has ended (pid {pid})"


def _socket_of(port: int) -> str:
    """Return the open rtnetlink socket with this port as ``/proc/PID/fd`` names it, ``""`` if there is none."""
    try:
        lines = _NETLINK_SOCKETS.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ""
    for line in lines:
        words = line.split()
        if int(words[1]) == NETLINK_ROUTE and int(words[2]) == port:
            return f"socket:[{words[-1]}]"
    return ""


def _sockets_of(pid: int) -> frozenset[str]:
    try:
        return frozenset(_target(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return frozenset()


def _is_ending(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return False


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""
