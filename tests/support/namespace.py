# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace for one test: run commands and functions in it, and read what ``ip -json`` shows there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.lab import Host, namespaces

Result = TypeVar("Result")
NAMES = "/etc/iproute2"


class Namespace:
    """A named network namespace with ``lo`` up, deleted when the ``with`` block ends.

    :param name: begins with ``homeward-``; the process number makes it unique.
    """

    def __init__(self, name: str) -> None:
        assert name.startswith("homeward-"), "test namespaces carry the prefix homeward-"
        self.name = f"{name}-{os.getpid()}"
        self._host = Host(name, self.name)

    def __enter__(self) -> Self:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.ip("link set lo up")
        return self

    def __exit__(self, *_error: object) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=True)

    def run(self, command: Sequence[str] | str, given: str | None = None) -> str:
        """Run a command inside, with ``given`` on its standard input, and return its output; it must succeed."""
        return self._host.run(command, stdin=given).stdout

    def ip(self, *lines: str) -> None:
        """Run lines of ``ip``, all of which must succeed: ``route add 10.9.8.0/24 dev eth1``."""
        namespaces.ip_batch(lines, self.name)

    def ip_json(self, line: str) -> Any:
        """Return the output of ``ip -details -json``: ``-6 route show table all``."""
        return self._host.ip_json(line)

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call the function inside, in a child process; ``/proc/sys/net`` is the namespace's, ``/sys`` the caller's.

        Runs of the collection write a name there into /etc/iproute2, which is the machine's, unless it is read-only.
        """

        def protected(*given: Any) -> Result:
            if Path(NAMES).is_dir():
                namespaces.protect(NAMES)
            return function(*given)

        return self._host.call_in_child(protected, *arguments)
