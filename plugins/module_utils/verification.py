# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks before and after a change where the kernel routes packets, and after it who manages new links."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .diagnosis.differences import Difference, findings, without_obstacles
from .diagnosis.expectations import ANY_ROUTE
from .diagnosis.finding import Finding
from .diagnosis.routes import Survey, ask_about_pools
from .errors import Diverted, LinkTaken
from .kernel import network_managers
from .kernel.netlink.route_lookup import look_up
from .kernel.netlink.rtnetlink import Rtnetlink
from .state import File, Link, Node, NodeState, Rule
from .state.managers import NETWORKD, RELOADS
from .state.packet_filter import FilterChain
from .state.route_lookup import RouteAnswer, RouteQuestion
from .state.step import Step


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


@dataclass
class RoutedPools:
    """What the kernel is asked about pools before and after a change, and in a run without one.

    What other warnings name is left out: rules that there is no room before, families without a default route, and links that
    do not forward.

    :param desired: what the node is to have.
    :param cases: of the pools, as in the state file.
    :param node: as it was before the change.
    :param obstacles: the foreign rules that there is no room before.
    :param with_default: the families that have a default route.
    :param filters: the foreign chains that check the sources of packets.
    """

    desired: NodeState = field(default_factory=NodeState)
    cases: Sequence[Mapping[str, Any]] = ()
    node: Node = field(default_factory=Node)
    pyroute2_path: str = ""
    obstacles: Collection[Rule] = ()
    with_default: Collection[str] = ()
    filters: Sequence[FilterChain] = ()
    _right_before: frozenset[RouteQuestion] = frozenset()
    _found: Survey = field(default_factory=Survey)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what was wrong when the kernel was asked last."""
        return (*findings(self._found.differences), *self._found.filters)

    def observe(self) -> None:
        """Ask now, before the change."""
        before = self._ask()
        self._right_before = before.questions - {one.expectation.question for one in before.differences}

    def look(self) -> None:
        """Find out what is wrong without a change."""
        self._found = self._ask()

    def verify(self) -> None:
        """Ask again, after the change. What was right before must not have become wrong, whatever foreign things there are.

        :raises Diverted: names the first packet that the change diverts.
        """
        self.look()
        for one in self._found.differences:
            if one.expectation.question in self._right_before and not one.is_silent_gateway:
                raise Diverted(f"it would divert packets of pools: {one.described}")

    def _ask(self) -> Survey:
        found = ask_about_pools(self.desired, self.cases, self.node, self.pyroute2_path, self.filters)
        differences = without_obstacles(found.differences, self.obstacles)
        return replace(found, differences=tuple(one for one in differences if not self._is_named(one)))

    def _is_named(self, one: Difference) -> bool:
        """Whether another warning names the reason."""
        missing = one.expectation.kind == ANY_ROUTE and one.expectation.question.family not in self.with_default
        return missing or bool(one.is_not_forwarded and self.node.not_forwarding)


@dataclass(frozen=True)
class Unmanaged:
    """New links, which no network manager must configure: it would give them addresses and a default route.

    :param services: active units.
    :param required: whether the change must not stay otherwise; if not, that is only a warning.
    """

    links: Collection[str]
    services: Collection[str]
    required: bool
    warn: Callable[[str], None]

    @classmethod
    def after(
        cls, steps: Iterable[Step], services: Collection[str], warn: Callable[[str], None], *, required: bool
    ) -> Unmanaged:
        """Return the question about the links that these steps create."""
        created = {step.after.name for step in steps if step.before is None and isinstance(step.after, Link)}
        return cls(created, services, required, warn)

    def verify(self) -> None:
        """Ask the network managers that run.

        :raises LinkTaken: names the links, the manager, and what to do.
        """
        answers = network_managers.ask(self.links, self.services)
        taken = [
            f"{name} is managed by a network manager: {one.reason}. {one.remedy}"
            for name, one in sorted(answers.managed.items())
        ]
        for text in (*answers.problems, *(() if self.required else taken)):
            self.warn(text)
        if self.required and taken:
            raise LinkTaken(" ".join(taken).rstrip("."))


def managed_links(
    current: Iterable[Link], desired: Iterable[Link], steps: Iterable[Step], services: Collection[str]
) -> Iterator[str]:
    """Yield the existing links that systemd-networkd manages, unless these steps have just told it not to manage them."""
    told = RELOADS[NETWORKD].files
    if any(isinstance(step.subject, File) and step.subject.path in told for step in steps):
        return
    staying = {link.name for link in current} & {link.name for link in desired}
    for name, one in sorted(network_managers.managed_by_networkd(staying, services).items()):
        yield f"{name} is managed by a network manager: {one.reason}. {one.remedy}"


def _ask(questions: Mapping[RouteQuestion, str], pyroute2_path: str) -> tuple[RouteAnswer, ...]:
    if not questions:
        return ()
    with Rtnetlink(extra_directory=pyroute2_path) as netlink:
        return look_up(netlink, tuple(questions), dict(socket.if_nameindex()))
