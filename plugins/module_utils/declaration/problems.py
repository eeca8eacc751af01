# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects what is wrong with a declaration, so that all of it is told at once."""

from __future__ import annotations

from typing import Callable, TypeVar

from ..errors import InputError, InputErrors

T = TypeVar("T")


class Problems:
    """The errors found so far, in the order they were found."""

    def __init__(self) -> None:
        self._errors: list[InputError] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, path: str, problem: str, remedy: str) -> None:
        """Note an error; the parameters are those of :class:`InputError`."""
        self.note(InputError(path, problem, remedy))

    def note(self, error: InputError) -> None:
        """Note an error that a reader raised."""
        self._errors.append(error)

    def attempt(self, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Return what ``read`` makes of the arguments; where it refuses them, note why and return ``default``."""
        try:
            return read(*arguments)
        except InputError as error:
            self.note(error)
            return default

    def concern(self, path: str) -> bool:
        """Whether an error was noted with exactly this path."""
        return any(error.path == path for error in self._errors)

    def raise_all(self) -> None:
        """Raise what was noted, if anything was.

        :raises InputErrors: all errors together, even where there is just one.
        """
        if self._errors:
            raise InputErrors(tuple(self._errors))
