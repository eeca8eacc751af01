# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``/proc/net`` shows of MetalLB's speaker, and the multicast groups that it needs.

The speaker (internal/layer2/announcer.go of MetalLB) looks at the links every ten seconds. On each that is up and has no master
it opens a packet socket for ARP, and a raw ICMPv6 socket that is bound to the link-local address. It joins the solicited-node
group of an address (RFC 4291, section 2.7.1) only when it starts to announce it, so sockets that it opens later, for a link that
was down or was recreated, are in none of the groups. Any process that joins them makes the kernel accept the solicitations.
"""

from __future__ import annotations

import errno
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ..paths import GROUPS_FILE
from ..state import File
from . import files
from .families import NETWORK

Group = str  # the packed address as hexadecimal digits, as /proc/net/igmp6 has it
SOLICITED_NODE = "ff0200000000000000000001ff"
_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")  # fe80::/10
_ETH_P_ARP, _SOCK_RAW, _ICMPV6 = "0806", "3", ":003A"
_GROUPS_PER_SOCKET = 256  # net.core.optmem_max limits the memberships of one socket


def arp_sockets() -> dict[int, frozenset[str]]:
    """Return the inodes of the packet sockets for ARP, by the index of their link."""
    found: dict[int, set[str]] = {}
    for words in _table("packet"):  # sk RefCnt Type Proto Iface R Rmem User Inode
        if len(words) > 8 and words[2:4] == [_SOCK_RAW, _ETH_P_ARP] and words[4] != "0":
            found.setdefault(int(words[4]), set()).add(words[8])
    return {index: frozenset(inodes) for index, inodes in found.items()}


def speaker_links(names: Mapping[int, str]) -> frozenset[str]:
    """Return the links on which a speaker listens; none if the node has no speaker.

    Network managers have packet sockets for ARP, too, but no ICMPv6 socket that is bound to a link-local address.

    :param names: interfaces by index.
    """
    listening = frozenset(names[index] for index in arp_sockets() if index in names)
    if not any(link in listening and address.startswith(_LINK_LOCAL) for address, link in _own_addresses("if_inet6")):
        return listening
    bound = (words[1].lower() for words in _table("raw6") if len(words) > 1 and words[1].endswith(_ICMPV6))
    # Each word of the address has the byte order of the machine.
    starts = (address[:4] if sys.byteorder == "big" else address[6:8] + address[4:6] for address in bound)
    return listening if any(start.startswith(_LINK_LOCAL) for start in starts) else frozenset()


def joined_groups(links: Collection[str]) -> dict[str, Counter[Group]]:
    """Return how often each solicited-node group is joined on these links, apart from the kernel itself for its addresses.

    A group that an address of the node has, too, is left out: the kernel never leaves it.
    """
    found: dict[str, Counter[Group]] = {}
    for words in _table("igmp6"):  # index name group users flags timer
        if len(words) > 3 and words[1] in links and words[2].startswith(SOLICITED_NODE):
            found.setdefault(words[1], Counter())[words[2]] = int(words[3])
    if found:
        for table in ("if_inet6", "anycast6"):
            for address, link in _own_addresses(table):
                found.get(link, Counter[Group]()).pop(SOLICITED_NODE + address[-6:], None)
    return found


def _own_addresses(table: str) -> Iterator[tuple[str, str]]:
    """Yield the node's addresses as hexadecimal digits, each with the name of its link."""
    # address index length scope flags name; index name address users
    for words in _table(table):
        if len(words) > 3:
            yield (words[0], words[-1]) if table == "if_inet6" else (words[2], words[1])


def _table(name: str) -> Iterable[list[str]]:
    """Return the lines of a file below ``/proc/net`` as words; none if the kernel does not have it."""
    try:
        return [line.split() for line in (NETWORK / name).read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []


#: By the name of a link: inodes of the speaker's sockets, and the groups that it had joined.
Remembered = dict[str, tuple[list[str], list[Group]]]


def recall() -> Remembered:
    """Return what :func:`remember` has stored since the boot; nothing if that is unusable."""
    try:
        stored = json.loads(Path(GROUPS_FILE).read_text(encoding="ascii"))
        return {str(name): ([*map(str, sockets)], [*map(str, groups)]) for name, (sockets, groups) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(found: Remembered) -> None:
    """Store this, or remove what is stored if it is empty; without room for it, it is forgotten with the process."""
    with suppress(OSError):
        if found:
            Path(GROUPS_FILE).parent.mkdir(mode=0o700, exist_ok=True)
            files.replace(File(GROUPS_FILE, f"{json.dumps(found, sort_keys=True)}\n", 0o600))
        else:
            files.remove(Path(GROUPS_FILE))


class Membership:
    """Holds multicast groups on one link until it is closed.

    :param index: of the link. If that is recreated, it has another one.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self._sockets: list[socket.socket] = []
        self._holders: dict[Group, socket.socket] = {}

    @property
    def groups(self) -> frozenset[Group]:
        """The groups that are held."""
        return frozenset(self._holders)

    def join(self, group: Group) -> None:
        """Join a group.

        :raises OSError: ENODEV, the link does not exist; ENOBUFS, no memory.
        """
        if group in self._holders:
            return
        if not self._sockets or len(self._holders) >= len(self._sockets) * _GROUPS_PER_SOCKET:
            self._sockets.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
        with suppress(FileExistsError):
            self._set(self._sockets[-1], socket.IPV6_JOIN_GROUP, group)
        self._holders[group] = self._sockets[-1]

    def leave(self, group: Group) -> None:
        """Leave a group; the link may not exist any more."""
        holder = self._holders.pop(group)
        try:
            self._set(holder, socket.IPV6_LEAVE_GROUP, group)
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL):
                raise

    def close(self) -> None:
        """Leave all groups."""
        for held in self._sockets:
            held.close()
        self._sockets, self._holders = [], {}

    def _set(self, holder: socket.socket, option: int, group: Group) -> None:
        holder.setsockopt(socket.IPPROTO_IPV6, option, bytes.fromhex(group) + struct.pack("@I", self.index))
