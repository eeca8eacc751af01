"""A host of the lab: run commands, read files, take snapshots."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import namespaces, snapshot
from .child import call_in_child

Result = TypeVar("Result")


@dataclass(frozen=True)
class Host:
    """name: as in the lab (node1, outside ...). holder: process in the node's namespaces; None for other hosts."""

    name: str
    namespace: str
    holder: int | None = None

    def command(self, command: Sequence[str] | str) -> list[str]:
        """Return the command line that runs a command on the host; a string is given to sh -ec."""
        argv = ["sh", "-ec", command] if isinstance(command, str) else [str(word) for word in command]
        if self.holder is None:
            return ["nsenter", f"--net={namespaces.NAMESPACE_FOLDER / self.namespace}", *argv]
        return [*namespaces.enter(self.holder), *argv]

    def run(
        self,
        command: Sequence[str] | str,
        *,
        check: bool = True,
        stdin: str | None = None,
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host and capture its output. Raises LabError with host, command and error output."""
        done = subprocess.run(
            self.command(command), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode != 0:
            shown = command if isinstance(command, str) else shlex.join(map(str, command))
            raise namespaces.LabError(f"{self.name}: {shown}: exit {done.returncode}: {done.stderr or done.stdout}")
        return done

    def output(self, command: Sequence[str] | str) -> str:
        """Return the command's standard output, without the final newline."""
        return self.run(command).stdout.rstrip("\n")

    def ip_json(self, line: str) -> Any:
        """Return the output of `ip -details -json`: `-6 route show table all`."""
        return json.loads(self.output(["ip", "-details", "-json", *line.split()]) or "[]")

    def start(self, command: Sequence[str] | str) -> subprocess.Popen[str]:
        """Start a command on the host, with standard output and error in one pipe."""
        return subprocess.Popen(
            self.command(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def call(self, function: Callable[[], Result]) -> Result:
        """Call a function in the host's network namespace, but not in its mount namespace."""
        return namespaces.in_namespace(self.namespace, function)

    def call_in_child(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a child process in the host's network namespace and, on a node, mount namespace."""
        return call_in_child(self._enter, function, *arguments)

    def _enter(self) -> None:
        if self.holder is None:
            namespaces.set_namespace(namespaces.NAMESPACE_FOLDER / self.namespace, namespaces.CLONE_NEWNET)
            return
        folder = Path(f"/proc/{self.holder}/ns")
        namespaces.set_namespace(folder / "net", namespaces.CLONE_NEWNET)
        namespaces.set_namespace(folder / "mnt", namespaces.CLONE_NEWNS)

    def path(self, inside: str) -> Path:
        """Return the path of a host's file as seen from this process."""
        return Path(f"/proc/{self.holder or 'self'}/root{inside}")

    def sysctl(self, key: str) -> str:
        """Return the value of a sysctl; the key has slashes: net/ipv4/conf/eth0.100/rp_filter."""
        return self.call(lambda: Path("/proc/sys", key).read_text().strip())

    def set_sysctl(self, key: str, value: str | int) -> None:
        namespaces.write_sysctls(self.namespace, {key: value})

    def snapshot(self) -> snapshot.Snapshot:
        """Return the host's network state as comparable text."""
        return snapshot.take(self)
