# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the solicited-node groups that MetalLB's speaker loses when a link goes down or is recreated.

Without them no process receives the neighbour solicitations for the addresses that it announces, so they are unreachable by IPv6
until the speaker restarts. See :mod:`..kernel.speaker`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ..kernel.speaker import (
    Group,
    Membership,
    Remembered,
    arp_sockets,
    joined_groups,
    recall,
    remember,
    speaker_links,
)
from ..state.node import RESTART_SPEAKER

MOST_GROUPS = 1024  # that are held on one link
#: In a row, until it is reported that the speaker does not listen on a link: it looks for links every ten seconds.
MISSING_CHECKS = 3
_SHOWN = 5


@dataclass
class _Link:
    """What is known of one link.

    :param sockets: of the speaker, when it was last seen there.
    :param groups: that it had joined then, or lost since.
    :param missing: how often in a row it was not seen, while it listened on other links.
    """

    sockets: frozenset[str] = frozenset()
    groups: set[Group] = field(default_factory=set)
    missing: int = 0
    held: Membership | None = None

    def check(self, index: int, sockets: frozenset[str], joined: Mapping[Group, int]) -> None:
        """Look at the link.

        :param sockets: of the speaker now.
        :param joined: how often each group is joined, this process included.
        """
        if self.held and self.held.index != index:
            self.release()
        held = self.held.groups if self.held else frozenset()
        others = {group for group, users in joined.items() if users > (group in held)}
        lost = self.groups - others
        # Sockets that are still there have left the group on purpose: another node announces the address now.
        if lost and sockets and sockets == self.sockets:
            self.groups -= lost - held
            lost &= held
        if sockets:
            self.sockets = sockets
            self.groups |= others
        if lost or held:
            self._hold(index, lost)

    def _hold(self, index: int, lost: Collection[Group]) -> None:
        """Hold these groups and no others."""
        self.held = self.held or Membership(index)
        for group in self.held.groups.difference(lost):
            self.held.leave(group)
        for group in sorted(lost)[:MOST_GROUPS]:
            with suppress(OSError):  # the link is gone again, or there is no memory: the next check tries again
                self.held.join(group)

    def release(self) -> None:
        """Hold no group any more."""
        if self.held:
            self.held.close()
        self.held = None


class GroupKeeper:
    """Remembers the groups that the speaker joins, and holds those that it loses, until it joins them again."""

    def __init__(self) -> None:
        self._stored: Remembered = recall()  # the agent restarts with each change; the speaker does not
        self._links = {name: _Link(frozenset(sockets), {*groups}) for name, (sockets, groups) in self._stored.items()}

    @property
    def held(self) -> int:
        """How many groups are held."""
        return sum(len(link.held.groups) for link in self._links.values() if link.held)

    @property
    def missing(self) -> int:
        """On how many links the speaker does not listen, although it listens on others."""
        return sum(link.missing >= MISSING_CHECKS for link in self._links.values())

    @property
    def notes(self) -> list[str]:
        """A sentence for each link on which the speaker has lost groups or does not listen."""
        return [sentence for name in sorted(self._links) for sentence in _sentences(name, self._links[name])]

    def check(self, names: Collection[str], *, complete: bool) -> None:
        """Look at the pools' links.

        :param names: of the links.
        :param complete: whether this is a check of everything, which also looks for links on which the speaker does not listen.
        """
        for name in self._links.keys() - set(names):
            self._links.pop(name).release()
        sockets = arp_sockets()
        if not sockets and not self._links:
            return
        indexes = dict(_indexes(names))
        joined = joined_groups(indexes)
        for name, index in indexes.items():
            known = self._links.setdefault(name, _Link())
            known.check(index, sockets.get(index, frozenset()), joined.get(name, {}))
        if complete:
            self._check_sockets(indexes, sockets)
        self._remember()

    def _check_sockets(self, indexes: Mapping[str, int], sockets: Container[int]) -> None:
        missing = {name for name, index in indexes.items() if index not in sockets}
        if missing and not speaker_links(dict(socket.if_nameindex())):
            missing = set()
        for name, known in self._links.items():
            known.missing = known.missing + 1 if name in missing else 0

    def _remember(self) -> None:
        found = {
            name: (sorted(known.sockets), sorted(known.groups)) for name, known in self._links.items() if known.groups
        }
        if found != self._stored:
            self._stored = found
            remember(found)


def _indexes(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        with suppress(OSError):  # it does not exist
            yield name, socket.if_nametoindex(name)


def _sentences(name: str, known: _Link) -> Iterator[str]:
    held = sorted(known.held.groups) if known.held else []
    if held:
        more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        yield (
            f"The speaker has lost the solicited-node groups of {name}, which was down or was recreated:"
            f" {', '.join(map(_text, held[:_SHOWN]))}{more}. The agent holds them until the speaker joins them again, so IPv6"
            f" works. To have it join them, restart it: {RESTART_SPEAKER}"
        )
    if known.missing >= MISSING_CHECKS:
        yield (
            f"The speaker listens on other links of this node, but not on {name}, so it announces no address there. If {name} is"
            f" up, has no master and is not excluded in MetalLB's configuration, restart the speaker: {RESTART_SPEAKER}"
        )


def _text(group: Group) -> str:
    return str(ipaddress.IPv6Address(bytes.fromhex(group)))
