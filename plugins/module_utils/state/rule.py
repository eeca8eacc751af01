# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rule of the routing policy database."""

from __future__ import annotations

from dataclasses import dataclass, field

from .extra_attributes import CURRENT_ONLY, ExtraAttributes, extra_text
from .route import MAIN_TABLE

ACTIONS = ("lookup", "goto", "nop", "blackhole", "unreachable", "prohibit")


@dataclass(frozen=True, order=True)
class Rule:
    """One rule (``ip-rule(8)``) in canonical form.

    :param family: ``ipv4`` or ``ipv6``.
    :param priority: lower numbers are evaluated first.
    :param action: one of :data:`ACTIONS`.
    :param table: the table to look up; 0 for every other action.
    :param goto: the priority to continue with; 0 for every other action.
    :param source: ``from``, as ``address/length``; ``""`` for all.
    :param destination: ``to``, likewise.
    :param iif: name of the interface that received the packet; ``lo`` for packets of the node itself.
    :param oif: name of the interface that the socket is bound to.
    :param fwmark: value of the mark, compared under ``fwmask``.
    :param fwmask: 0 means that the mark is not compared; a ``fwmark`` of 0 with a mask matches *unmarked* packets.
    :param invert: the rule matches if its selectors do not (``not``).
    :param suppress_prefixlength: ignore results with this prefix length or less; -1 ignores none.
    :param extra: further attributes of a rule on the node: a user, a port, a tunnel ...
    """

    family: str
    priority: int
    action: str = "lookup"
    table: int = 0
    goto: int = 0
    source: str = ""
    destination: str = ""
    iif: str = ""
    oif: str = ""
    fwmark: int = 0
    fwmask: int = 0
    invert: bool = False
    suppress_prefixlength: int = -1
    extra: ExtraAttributes = field(default=(), metadata=CURRENT_ONLY)

    @property
    def key(self) -> Rule:
        """What identifies a rule in the kernel: all of it."""
        return self

    @property
    def matches_all(self) -> bool:
        """Whether the rule matches every packet."""
        has_selector = self.source or self.destination or self.iif or self.oif or self.fwmask or self.extra
        return not has_selector and not self.invert

    def words(self) -> tuple[str, ...]:
        """Return the arguments of ``ip rule`` after its verb, without the extra attributes."""
        words = ["priority", str(self.priority)]
        words += ["not"] if self.invert else []
        words += ["from", self.source or "all"]
        words += ["to", self.destination] if self.destination else []
        words += ["iif", self.iif] if self.iif else []
        words += ["oif", self.oif] if self.oif else []
        words += ["fwmark", f"{self.fwmark:#x}/{self.fwmask:#x}"] if self.fwmask else []
        return tuple(words + self._action_words())

    def _action_words(self) -> list[str]:
        if self.action == "lookup":
            table = "main" if self.table == MAIN_TABLE else str(self.table)
            suppress = (
                [] if self.suppress_prefixlength < 0 else ["suppress_prefixlength", str(self.suppress_prefixlength)]
            )
            return ["lookup", table, *suppress]
        if self.action == "goto":
            return ["goto", str(self.goto)]
        return [self.action]

    def __str__(self) -> str:
        return " ".join(filter(None, (*self.words(), extra_text(self.extra))))
