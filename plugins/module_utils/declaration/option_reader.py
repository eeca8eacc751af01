# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the options of one mapping and collects the errors, so that a user sees all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, TypeVar

from ..errors import InputError, InputErrors
from .values import is_unset, printable

T = TypeVar("T")


class ErrorCollector:
    """The errors found so far, in the order in which they were found."""

    def __init__(self) -> None:
        self._errors: list[InputError] = []

    def __len__(self) -> int:
        return len(self._errors)

    def add(self, path: str, problem: str, remedy: str) -> None:
        """Add an error; the parameters are those of :class:`InputError`."""
        self._errors.append(InputError(path, problem, remedy))

    def append(self, error: InputError) -> None:
        """Add an error that a reader raised."""
        self._errors.append(error)

    def read(self, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Return ``read(*arguments)``; if it raises :class:`InputError`, add the error and return ``default``."""
        try:
            return read(*arguments)
        except InputError as error:
            self.append(error)
            return default

    def has(self, path: str) -> bool:
        """Whether an error with exactly this path was added."""
        return any(error.path == path for error in self._errors)

    def raise_if_any(self) -> None:
        """Raise the collected errors.

        :raises InputErrors: all errors together, even if there is only one.
        """
        if self._errors:
            raise InputErrors(tuple(self._errors))


class OptionReader:
    """Reads the options of one mapping and remembers which of them are invalid.

    :param path: path of the mapping in the input; ``""`` for the parameters of a module.
    """

    def __init__(self, errors: ErrorCollector, path: str, options: Mapping[str, Any]) -> None:
        self.errors = errors
        self.path = path
        self.invalid: set[str] = set()
        self._prefix = f"{path}." if path else ""
        self._options = options

    def read(self, name: str, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Return ``read(path, value, *arguments)``, or the default if the option is unset or invalid."""
        value = self._options.get(name)
        if value is None or is_unset(value):
            return default
        try:
            return read(self._prefix + name, value, *arguments)
        except InputError as error:
            self.errors.append(error)
            self.invalid.add(name)
            return default

    def read_nested(self, name: str, default: T, read: Callable[..., T], *arguments: object) -> T:
        """Do the same with a reader that adds errors itself: ``read(errors, path, value, *arguments)``."""
        value = self._options.get(name)
        if value is None or is_unset(value):
            return default
        before = len(self.errors)
        result = read(self.errors, self._prefix + name, value, *arguments)
        if len(self.errors) > before:
            self.invalid.add(name)
        return result

    def require(self, name: str, found: object, problem: str, remedy: str) -> None:
        """Refuse a required option that is missing: nothing was found, and no error was added for it."""
        if not found and name not in self.invalid:
            self.refuse(name, problem, remedy)

    def refuse(self, name: str, problem: str, remedy: str) -> None:
        """Add an error for an option that does not go with others."""
        self.errors.add(self._prefix + name, problem, remedy)
        self.invalid.add(name)

    def is_valid(self, *names: str) -> bool:
        """Whether each of the options is unset or was read without an error."""
        return self.invalid.isdisjoint(names)


def open_options(errors: ErrorCollector, path: str, value: Any, names: frozenset[str]) -> OptionReader | None:
    """Return a reader for a mapping of options, or None if the value is not a mapping; an unknown option is an error.

    :param names: the options that exist.
    """
    if not isinstance(value, Mapping):
        errors.add(path, f"{printable(value)} is not a mapping", f"Give a mapping with {', '.join(sorted(names))}.")
        return None
    if not names.issuperset(value):
        for name in value:
            if name not in names:
                _refuse_unknown(errors, path, name, names)
    return OptionReader(errors, path, value)


def _refuse_unknown(errors: ErrorCollector, path: str, name: Any, names: frozenset[str]) -> None:
    similar = [option for option in (f"{name}s", f"{name}es") if isinstance(name, str) and option in names]
    remedy = f"Use {similar[0]}, a list." if similar else f"The options are {', '.join(sorted(names))}."
    errors.add(f"{path}.{printable(name)}", "there is no such option", remedy)
