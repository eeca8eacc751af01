# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kernel before and after a change where it routes the node's own packets: a change must not divert any."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Diverted
from .kernel.netlink.route_lookup import look_up
from .kernel.netlink.rtnetlink import Rtnetlink
from .state.route_lookup import RouteAnswer, RouteQuestion


@dataclass(frozen=True)
class Unaffected:
    """Packets of the node that a change must not divert, with their routes before it.

    :param descriptions: what each question is about, for messages.
    :param before: the kernel's answer to each question.
    """

    descriptions: Mapping[RouteQuestion, str]
    before: tuple[RouteAnswer, ...]
    pyroute2_path: str

    @classmethod
    def observe(cls, descriptions: Mapping[RouteQuestion, str], pyroute2_path: str) -> Unaffected:
        """Ask now, before the change."""
        return cls(descriptions, _ask(descriptions, pyroute2_path), pyroute2_path)

    def verify(self) -> None:
        """Ask again. A packet that had no route before may have any now.

        :raises Diverted: names the first packet with another route than before.
        """
        after = _ask(self.descriptions, self.pyroute2_path)
        for (question, description), old, new in zip(self.descriptions.items(), self.before, after):
            if not old.refusal and not new.is_same_path(old):
                raise Diverted(f"it would divert packets to {question.destination}, {description}, from {old} to {new}")


def _ask(questions: Mapping[RouteQuestion, str], pyroute2_path: str) -> tuple[RouteAnswer, ...]:
    if not questions:
        return ()
    with Rtnetlink(extra_directory=pyroute2_path) as netlink:
        return look_up(netlink, tuple(questions), dict(socket.if_nameindex()))
