# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One step from the current to the desired state of a node."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol


class StateObject(Protocol):
    """An object of any kind of the registry (:data:`~.kinds.KINDS`); hashable."""

    @property
    def key(self) -> Hashable:
        """What identifies it among the objects of its kind; a node has one object per key."""


@dataclass(frozen=True)
class Step:
    """One change of one object.

    For a sysctl, adding it means that the setting becomes managed: its original value is remembered. Deleting it means that
    the setting gets that value back, unless something else has changed it since.

    :param kind: name of a kind of the registry.
    :param before: None where the object is added.
    :param after: None where the object is deleted.
    """

    kind: str
    before: StateObject | None
    after: StateObject | None

    def inverse(self) -> Step:
        """Return the step that reverts this one."""
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
    """A writer could not carry out all of its steps.

    :param done: the steps that took effect, in the order in which they were done.
    :param failed: the step that did not.
    :param reason: why: the message of the kernel with the name of the error, or that of the program.
    :param unsure: steps that may have taken effect, ``failed`` included, because an answer was lost.
    """

    def __init__(self, done: tuple[Step, ...], failed: Step, reason: str, unsure: tuple[Step, ...] = ()) -> None:
        super().__init__(done, failed, reason, unsure)
        self.done = done
        self.failed = failed
        self.reason = reason
        self.unsure = unsure

    def __str__(self) -> str:
        return f"{self.failed}: {self.reason}"
