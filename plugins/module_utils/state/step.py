# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step from what a node has to what it should have, and the step back."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol


class StateObject(Protocol):
    """An object of any kind of the registry (:data:`~.kinds.KINDS`); frozen, so that it can stand in sets."""

    @property
    def key(self) -> Hashable:
        """What tells it apart from others of its kind; two with one key cannot both be on a node."""


@dataclass(frozen=True)
class Step:
    """One change of one object.

    ``before`` is None where the object is made, ``after`` is None where it is taken away; both are there where it is
    changed in place. For a sysctl, made means that we take the setting over (its present value is remembered) and taken
    away means that it gets that value back, unless somebody has changed it since.

    :param kind: name of a kind of the registry.
    """

    kind: str
    before: StateObject | None
    after: StateObject | None

    def inverse(self) -> Step:
        """Return the step that undoes this one."""
        return Step(self.kind, self.after, self.before)

    @property
    def subject(self) -> StateObject:
        """The object that the step is about."""
        subject = self.after if self.after is not None else self.before
        if subject is None:
            raise ValueError("a step changes something")
        return subject

    @property
    def verb(self) -> str:
        """``add``, ``change`` or ``delete``."""
        if self.before is None:
            return "add"
        return "change" if self.after is not None else "delete"

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.subject}"


class StepsFailed(Exception):
    """Raised by whoever carries steps out.

    :param done: the steps that did take effect, in the order they were done.
    :param failed: the step that did not.
    :param reason: why, in words (the kernel's message and errno name, or the program's).
    :param unsure: steps that may have taken effect or not, ``failed`` among them, where nobody can say: an answer got lost.
    """

    def __init__(self, done: tuple[Step, ...], failed: Step, reason: str, unsure: tuple[Step, ...] = ()) -> None:
        super().__init__(done, failed, reason, unsure)
        self.done = done
        self.failed = failed
        self.reason = reason
        self.unsure = unsure

    def __str__(self) -> str:
        return f"{self.failed}: {self.reason}"
