# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace for one test: what runs in it, and what ``ip -json`` sees there."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


class Namespace:
    """A named network namespace with ``lo`` up, gone when the ``with`` block ends.

    :param name: begins with ``homeward-``; made unlike any other of this machine by the process number.
    """

    def __init__(self, name: str) -> None:
        assert name.startswith("homeward-"), "test namespaces carry the prefix homeward-"
        self.name = f"{name}-{os.getpid()}"

    def __enter__(self) -> Namespace:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ip("link set lo up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=True)

    def run(self, command: Sequence[str], given: str | None = None) -> str:
        """Run a command inside, with ``given`` on its standard input, and return what it prints; it must succeed."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command], input=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(
                f"{' '.join(command)} in {self.name}: exit {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done.stdout

    def ip(self, *lines: str, family: str = "") -> None:
        """Do lines of ``ip``, all of which must succeed: ``route add 10.9.8.0/24 dev eth1``.

        :param family: ``ipv4`` or ``ipv6`` where the line alone does not say (``ip`` then guesses IPv4).
        """
        options = {"": [], "ipv4": ["-4"], "ipv6": ["-6"]}[family]
        self.run(["ip", *options, "-batch", "-"], "".join(f"{line}\n" for line in lines))

    def ip_json(self, line: str) -> Any:
        """Return what ``ip -details -json`` says: ``-6 route show table all``."""
        return json.loads(self.run(["ip", "-details", "-json", *line.split()]) or "[]")

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call the function inside, in a child process, and return its result or raise what it raised.

        The result travels pickled. ``/proc/sys/net`` is the namespace's; ``/sys`` stays the caller's.
        """
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # forking beside pytest-xdist's thread: the child uses none
            child = os.fork()
        if not child:
            os.close(read_end)
            _answer(write_end, self.name, function, arguments)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as answer:
            content = answer.read()
        os.waitpid(child, 0)
        if not content:
            raise AssertionError(f"the child in {self.name} died without an answer")
        succeeded, value, trace = pickle.loads(content)  # noqa: S301 - our own child wrote it
        if succeeded:
            result: Result = value
            return result
        print(trace, file=sys.stderr)
        raise value


def _answer(write_end: int, namespace: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the child: enter the namespace, call, write the answer, and end without running anything of the parent's."""
    try:
        with Path("/run/netns", namespace).open("rb") as handle:
            if _libc.setns(handle.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        content = pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        trace = traceback.format_exc()
        content = _pickled_error(error, trace)
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(content)
    os._exit(0)


def _pickled_error(error: BaseException, trace: str) -> bytes:
    try:
        content = pickle.dumps((False, error, trace))
        pickle.loads(content)  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - some errors cannot be rebuilt from their arguments
        content = pickle.dumps((False, AssertionError(trace), trace))
    return content
