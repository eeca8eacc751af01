# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command metallb-routing on a node of the lab or of ``node.py``: install and run it, as an agent too.

These nodes have no systemd. The collection is made to believe that they have, so that it installs its files; the tests do
what systemd would: an agent is a child of the test's process.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

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
from tests.lab.namespaces import CLONE_NEWNET
from tests.support.node import Answer, in_child, run_module
from tests.support.pools import EXTERNAL, declared

Result = TypeVar("Result")
READY_SECONDS = 30.0
RECONCILE_SECONDS = 20.0  # until a test gives up; machines may be slow
_FROM_HARDWARE = re.compile(r"fe80::[0-9a-f:]*ff:fe[0-9a-f:]+")
_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)


def call(host: Host, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call the function on the node, network and files, in a child process."""

    def enter() -> None:
        for kind, flag in (("net", CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
            with Path(f"/proc/{host.holder}/ns/{kind}").open("rb") as handle:
                if _libc.setns(handle.fileno(), flag):
                    raise OSError(ctypes.get_errno(), f"cannot enter {host.name}: {kind}")

    return in_child(enter, function, *arguments)


def apply(host: Host, parameters: Mapping[str, Any], service: Service | None = None) -> Answer:
    """Run ``pool_routing`` as on a node with systemd; it must succeed.

    :param service: what systemd has and does; by default it has nothing and does nothing.
    """

    def run() -> Answer:
        stand_in_for_systemd(service)
        whole = {"persist": True, **parameters, "_ansible_check_mode": False, "_ansible_diff": False}
        return run_module("pool_routing", whole)

    answer = call(host, run)
    assert not answer.get("failed"), (host.name, answer["msg"])
    return answer


@dataclass(frozen=True)
class Service:
    """A service as systemd has it.

    :param change: carries steps out where systemd would, on the node, while the module holds the lock.
    """

    unit: Unit
    change: Callable[[Sequence[Step]], object]


def stand_in_for_systemd(service: Service | None = None) -> None:
    """Have the modules in this process find a systemd, which has this service or none, and does nothing without."""
    deploy.systemd_runs = lambda: True
    deploy.may_write = lambda _folder: False  # /usr/local/sbin is the machine's own
    systemd.read = lambda _names: frozenset({service.unit} if service else ())
    systemd.write = lambda steps: service.change(steps) if service else None


def keep(host: Host, **changes: Any) -> None:
    """Make the node right for one pool with addresses of the node's own, and leave on it what keeps it so."""
    pool = {**EXTERNAL, "addresses": ["1.2.3.251", "fd00:1:2:3::251"]}
    apply(host, declared(pool, **{"iptables_variant": "nft", **changes}))


def read_state(host: Host) -> str:
    """Return the text of the node's state file."""
    return host.run(["cat", STATE_FILE]).stdout


def write_state(host: Host, text: str) -> None:
    """Replace the node's state file, as apply does: in one move."""
    host.run(f"umask 077; cat > {STATE_FILE}.new; mv {STATE_FILE}.new {STATE_FILE}", stdin=text)


def command(*words: str) -> list[str]:
    """Return the command line of metallb-routing on a node."""
    return [sys.executable, "-B", COMMAND, *words]


def status_json(host: Host) -> tuple[int, dict[str, Any]]:
    """Return the exit code of ``status --json`` and what it says."""
    done = host.run(command("status", "--json"), check=False)
    return done.returncode, json.loads(done.stdout)


class Agent:
    """An agent on a node, started by the ``with`` block if it was not before; ends with the block.

    Its output goes to a file, so it never waits for a reader.

    :param folder: for its output and the socket on which it reports that it is ready.
    :param sweep: seconds between two checks of everything; by default so long that only events matter.
    """

    def __init__(self, host: Host, folder: Path, sweep: float = 3600.0) -> None:
        self.host = host
        self._sweep = sweep
        self._output = folder / f"agent-{time.monotonic_ns()}.txt"
        self._socket = folder / f"notify-{time.monotonic_ns()}"
        self.process: subprocess.Popen[str] | None = None

    def launch(self) -> Self:
        """Start it."""
        self._socket.unlink(missing_ok=True)
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(self._socket))
        with self._output.open("a") as output:
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
        """Wait until it reports to the socket, which stands in for systemd, that it is ready."""
        self._manager.settimeout(seconds)
        try:
            assert self._manager.recv(100) == b"READY=1"
        except TimeoutError:
            self.stop()
            raise AssertionError(f"the agent is not ready after {seconds} s: {self.said()}") from None
        return self

    def is_ready(self) -> bool:
        """Whether it has reported that it is ready."""
        try:
            return bool(self._manager.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def start(self) -> Self:
        """Start it and wait until it says that it is ready."""
        return self.launch().await_ready()

    def __enter__(self) -> Self:
        return self if self.process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Number of the process."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it must be alive."""
        assert self.process is not None
        assert self.process.poll() is None, f"the agent has ended: {self.said()}"
        self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it until :meth:`thaw`; it has stopped when this returns."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def reset_backoff(self) -> None:
        """Have it check everything and reset its backoff; wait until it has checked."""
        until(lambda: self.host.path(REPORT_FILE).exists(), self.said)
        before = self.report()["checked"]
        self.signal(signal.SIGHUP)
        until(lambda: self.report()["checked"] != before, self.said)

    def stop(self) -> int:
        """End it, kindly, and return its exit code."""
        assert self.process is not None
        self._manager.close()
        self._socket.unlink(missing_ok=True)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(RECONCILE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the agent does not end: {self.said()}") from None

    def said(self) -> str:
        """Return everything that it has printed so far."""
        return self._output.read_text()

    def report(self) -> dict[str, Any]:
        """Return what it last reported."""
        report: dict[str, Any] = json.loads(self.host.path(REPORT_FILE).read_text())
        return report

    def memory(self) -> int:
        """Return its memory (VmRSS) in KiB."""
        return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[0])

    def processor(self) -> float:
        """Return the seconds of processor time that it and the programs it ran have used."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")


def until(what: Callable[[], object], why: Callable[[], object], seconds: float = RECONCILE_SECONDS) -> None:
    """Wait until something is so.

    :param why: tells what to look at if it does not come.
    """
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


def picture(host: Host) -> dict[str, str]:
    """Return the node's state as other tools see it.

    Left out are the numbers of links, the order in which chains were made, and which address the kernel made of a link's own.
    """
    parts = dict(host.snapshot().parts)
    found = {}
    for name, raw in parts.items():
        text = _FROM_HARDWARE.sub("fe80::hardware", raw)
        lines = text.splitlines()
        if name in ("links", "addresses"):
            lines = [_without_numbers(line) for line in lines]
        elif name.endswith("-save"):
            lines = list(_sorted_by_chain(text))
        elif name == "nft":
            tables = re.split(r"(?m)^(?=table )", text)
            lines = [table for table in tables if not re.match(r"table ip6? (raw|mangle|nat|filter|security) ", table)]
        found[name] = "\n".join(lines if name.endswith("-save") else sorted(lines))
    return found


def _sorted_by_chain(saved: str) -> Iterator[str]:
    """Yield the lines with their table in front; each chain's in their order."""
    for table in re.split(r"(?m)^(?=\*)", saved):
        name, *lines = table.splitlines() or [""]
        for line in sorted(lines, key=lambda line: line if line[:3] != "-A " else " ".join(line.split(" ", 2)[:2])):
            yield f"{name[1:]} {line}"


def _without_numbers(line: str) -> str:
    """Return a link without its number and those of its addresses' order; a link made anew has another one."""
    link = json.loads(line)
    for key in ("ifindex", "link_index"):
        link.pop(key, None)
    link["addr_info"] = sorted(link.get("addr_info", []), key=str)
    return json.dumps(link, sort_keys=True)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the lines by which two pictures differ."""
    found = []
    for part, text in before.items():
        old, new = text.splitlines(), after[part].splitlines()
        found += [f"{part}: - {line}" for line in (Counter(old) - Counter(new)).elements()]
        found += [f"{part}: + {line}" for line in (Counter(new) - Counter(old)).elements()]
        if not found and old != new:
            found.append(f"{part}: another order")
    return found


def until_same(host: Host, before: Mapping[str, str], agent: Agent) -> None:
    """Wait until the node is as in the picture."""
    found: list[str] = []

    def same() -> bool:
        found[:] = differences(before, picture(host))
        return not found

    until(same, lambda: "\n".join(["not reconciled:", *found, "the agent printed:", *agent.said().splitlines()[-20:]]))


def metrics(host: Host) -> str:
    """Return the text of the metrics file."""
    (path,) = host.path(AGENT_DIRECTORY).glob("*.prom")
    return path.read_text()


def run_all(host: Host, lines: Sequence[str]) -> None:
    """Run commands on the node in one shell."""
    host.run("\n".join(lines))
