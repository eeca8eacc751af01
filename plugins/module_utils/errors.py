# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors a user sees: what is wrong, where, why, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_POOL = re.compile(r"pools\[(\d+)\]")
_SHOWN_NAME = re.compile(r"[\w.-]{1,63}", re.ASCII)


class HomewardError(Exception):
    """Base of every error that this collection raises on purpose; its text is meant to be read by the user."""


class InputError(HomewardError):
    """The declaration cannot be right.

    :param path: the input's path, as the user would write it: ``pools[2].gateways[0]``.
    :param problem: what is wrong and why.
    :param remedy: what to do.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class InputErrors(InputError):
    """Several :class:`InputError` at once, so that a user mends them in one go."""

    def __init__(self, errors: tuple[InputError, ...]) -> None:
        first = errors[0]
        super().__init__(first.path, first.problem, first.remedy)
        self.errors = errors
        self.args = ("\n".join(str(error) for error in errors),)


class NodeError(HomewardError):
    """The declaration is sound, but this node cannot carry it out (a missing program, kernel module, link, right)."""


class Pyroute2Missing(NodeError):
    """The node has no pyroute2 that is new enough; the controller can bring one."""


class StepError(HomewardError):
    """A step of the plan failed; says which, why, and what became of the steps before it."""


class BetweenStates(StepError):
    """A step failed, and not all of what was done could be undone."""


def describe(error: Exception) -> str:
    """Return the error in words; one that was not raised on purpose with its kind, as its text is not meant to be read alone."""
    return str(error).rstrip(".") if isinstance(error, HomewardError) else f"{type(error).__name__}: {error}"


def refused(error: InputError, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task tells that refuses its input: ``failed``, ``msg``, and in ``errors`` each place with its message.

    :param parameters: the task's. A pool is told by its name too, as its number is hard to find in a list that roles have
        put together.
    """
    errors = error.errors if isinstance(error, InputErrors) else (error,)
    messages = [_message(one, parameters.get("pools")) for one in errors]
    return {
        "failed": True,
        "msg": "\n".join(messages),
        "errors": [{"path": one.path, "message": message} for one, message in zip(errors, messages)],
    }


def _message(error: InputError, pools: Any) -> str:
    found = _POOL.match(error.path)
    name = _name_of(pools, int(found.group(1))) if found else ""
    return f"{error.path} (pool {name}): {error.problem}. {error.remedy}" if name else str(error)


def _name_of(pools: Any, number: int) -> str:
    """Return the name that the pool was given, ``""`` where it has none that can be shown."""
    try:
        name = pools[number]["name"]
    except (TypeError, LookupError):
        return ""
    return name if isinstance(name, str) and _SHOWN_NAME.fullmatch(name) else ""
