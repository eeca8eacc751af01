# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that users see: what is wrong, where, why, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Exit status of the command metallb-routing, besides 0 for success and 1 for drift.
UNUSABLE_STATE = 2  # there is no usable state file
FAILED = 3  # anything else that went wrong
USAGE = 64  # the command line is wrong (EX_USAGE of sysexits.h)

_POOL = re.compile(r"pools\[(\d+)\]")
_PRINTABLE_NAME = re.compile(r"[\w.-]{1,63}", re.ASCII)


class HomewardError(Exception):
    """Base of every error that the collection raises on purpose; its text is written for the user."""


class InputError(HomewardError):
    """An input is invalid.

    :param path: where, as the user would write it: ``pools[2].gateways[0]``.
    :param problem: what is wrong and why.
    :param remedy: what to do.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class InputErrors(InputError):
    """Several :class:`InputError`, so that a user can fix all of them at once."""

    def __init__(self, errors: tuple[InputError, ...]) -> None:
        first = errors[0]
        super().__init__(first.path, first.problem, first.remedy)
        self.errors = errors
        self.args = ("\n".join(str(error) for error in errors),)


class NodeError(HomewardError):
    """The input is valid, but this node cannot do it: it lacks a program, kernel module, link or privilege."""


class StateUnusable(NodeError):
    """The state file is missing, damaged or of another format: only a new one helps."""


class Pyroute2Missing(NodeError):
    """The node has no pyroute2, or one that is too old; the controller can supply one."""


class StepError(HomewardError):
    """A step of the plan failed; says which, why, and what happened to the steps before it."""


class Diverted(HomewardError):
    """A change would divert packets that have nothing to do with pools."""


class LinkTaken(HomewardError):
    """A network manager manages a link that a change has created."""


class RollbackFailed(StepError):
    """A change could not be rolled back completely."""


def describe(error: Exception) -> str:
    """Return the error's text, preceded by its type unless the text was written for the user."""
    return str(error).rstrip(".") if isinstance(error, HomewardError) else f"{type(error).__name__}: {error}"


def refused(error: InputError, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a task with invalid input: ``failed``, ``msg``, and in ``errors`` each path with its message.

    :param parameters: of the task. Messages also name the pool, as its index is hard to find in a list that roles composed.
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


def _name_of(pools: Any, index: int) -> str:
    """Return the pool's name, or ``""`` if it has none that is fit to print."""
    try:
        name = pools[index]["name"]
    except (TypeError, LookupError):
        return ""
    return name if isinstance(name, str) and _PRINTABLE_NAME.fullmatch(name) else ""
