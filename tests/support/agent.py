# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent and the command metallb-routing on a node without systemd.

systemd_runs() returns true, so the collection installs its files; the test does what systemd would do, and the
agent is a child of the test's process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import systemd
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import (
    AGENT_DIRECTORY,
    COMMAND,
    REPORT_FILE,
    STATE_FILE,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import deploy
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Unit
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.lab import Host
from tests.lab.snapshot import Snapshot
from tests.lab.waiting import wait_until
from tests.support import snapshots
from tests.support.modules import Answer, change
from tests.support.pools import EXTERNAL, declared

READY_SECONDS = 30.0
SECONDS = 20.0  # for everything else, on a slow machine


@dataclass(frozen=True)
class Service:
    """A service as systemd has it.

    :param change: carries out steps in systemd's place, on the node, while the module holds the lock.
    """

    unit: Unit
    change: Callable[[Sequence[Step]], object]


def fake_systemd(service: Service | None = None) -> None:
    """Let the modules in this process find a systemd that has this service, or none, and does nothing else."""
    deploy.systemd_runs = lambda: True
    deploy.may_write = lambda _folder: False  # /usr/local/sbin is the machine's own
    systemd.read = lambda _names: frozenset({service.unit} if service else ())
    systemd.write = lambda steps: service.change(steps) if service else None


def apply(
    host: Host,
    parameters: Mapping[str, Any],
    service: Service | None = None,
    before: Callable[[], object] = lambda: None,
) -> Answer:
    """Run ``pool_routing`` as on a node with systemd; it must succeed.

    :param before: is called in the module's process, too.
    """

    def prepare() -> None:
        fake_systemd(service)
        before()

    return change(host, "pool_routing", {"persist": True, **parameters}, before=prepare)


def persist(host: Host, **changes: Any) -> None:
    """Apply a pool with addresses of the node's own, and install the agent."""
    pool = {**EXTERNAL, "addresses": ["1.2.3.251", "fd00:1:2:3::251"]}
    apply(host, declared(pool, **{"iptables_variant": "nft", **changes}))


def read_state(host: Host) -> str:
    """Return the text of the node's state file."""
    return host.run(["cat", STATE_FILE]).stdout


def write_state(host: Host, text: str) -> None:
    """Replace the node's state file atomically, as apply does."""
    host.run(f"umask 077; cat > {STATE_FILE}.new; mv {STATE_FILE}.new {STATE_FILE}", stdin=text)


def command(*words: str) -> list[str]:
    """Return the command line of metallb-routing on a node."""
    return ["/bin/sh", COMMAND, *words]


def status_json(host: Host) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the output of ``status --json``."""
    done = host.run(command("status", "--json"), check=False)
    return done.returncode, json.loads(done.stdout)


def metrics(host: Host) -> str:
    """Return the text of the metrics file."""
    (path,) = host.path(AGENT_DIRECTORY).glob("*.prom")
    return path.read_text()


class Agent:
    """The agent running on a node; a context manager that starts it, unless it runs, and ends it.

    :param folder: for its log and the socket on which it reports that it is ready.
    :param sweep: seconds between two full checks; by default so long that only events wake it.
    """

    def __init__(self, host: Host, folder: Path, sweep: float = 3600.0) -> None:
        self.host = host
        self._sweep = sweep
        self._log = folder / f"agent-{time.monotonic_ns()}.txt"
        self._socket = folder / f"notify-{time.monotonic_ns()}"
        self.process: subprocess.Popen[str] | None = None

    def launch(self) -> Self:
        """Start it without waiting."""
        self._socket.unlink(missing_ok=True)
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(self._socket))
        with self._log.open("a") as output:
            self.process = subprocess.Popen(
                self.host.command(command("agent", "--sweep", str(self._sweep))),
                env={**os.environ, "NOTIFY_SOCKET": str(self._socket)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        return self

    def await_ready(self, seconds: float = READY_SECONDS) -> Self:
        """Wait until it reports to its service manager that it is ready."""
        self._manager.settimeout(seconds)
        try:
            assert self._manager.recv(100) == b"READY=1"
        except TimeoutError:
            self.stop()
            raise AssertionError(f"the agent is not ready after {seconds} s: {self.log()}") from None
        return self

    def is_ready(self) -> bool:
        """Whether it has reported that it is ready."""
        try:
            return bool(self._manager.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def start(self) -> Self:
        """Start it and wait until it is ready."""
        return self.launch().await_ready()

    def __enter__(self) -> Self:
        return self if self.process else self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it must be alive."""
        assert self.process is not None
        assert self.process.poll() is None, f"the agent has ended: {self.log()}"
        self.process.send_signal(number)

    def pause(self) -> None:
        """Stop it until :meth:`resume`; it has stopped when this returns."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let it continue."""
        self.signal(signal.SIGCONT)

    def reset_backoff(self) -> None:
        """Have it check everything and reset its backoff (SIGHUP), and wait until it has."""
        wait_until(self.host.path(REPORT_FILE).exists, self.log)
        before = self.report()["checked"]
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.report()["checked"] != before, self.log)

    def stop(self) -> int:
        """Terminate it and return its exit code."""
        assert self.process is not None
        self._manager.close()
        self._socket.unlink(missing_ok=True)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the agent does not end: {self.log()}") from None

    def log(self) -> str:
        """Return everything that it has written so far."""
        return self._log.read_text()

    def wait_for_log(self, text: str, count: int = 1) -> None:
        """Wait until the log contains the text `count` times."""
        wait_until(lambda: self.log().count(text) >= count, lambda: f"{text!r} is not in the log:\n{self.log()}")

    def wait_until_restored(self, before: Snapshot) -> None:
        """Wait until the node is again as in the snapshot (of :func:`snapshots.restorable`)."""
        snapshots.wait_until_same(self.host, before, self.log)

    def report(self) -> dict[str, Any]:
        """Return its last report."""
        report: dict[str, Any] = json.loads(self.host.path(REPORT_FILE).read_text())
        return report

    def memory(self) -> int:
        """Return its memory (VmRSS) in KiB."""
        return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[0])

    def processor(self) -> float:
        """Return the seconds of processor time that it and the programs it ran have used."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")
