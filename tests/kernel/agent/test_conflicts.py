# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that reverts what the agent does, and runs of apply beside the agent: no endless fight, no deadlock."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.lock import write_lock
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import STATE_FILE, UNIT_NAME
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Unit
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import READY_SECONDS, Agent, Service, apply, command, read_state, status_json
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, SECOND, STORAGE, declared
from tests.support.snapshots import restorable

pytestmark = pytest.mark.usefixtures("persisted")

#: Deletes the IPv4 rule of priority 2800 whenever it is there, with one netlink socket: RTM_DELRULE with FRA_PRIORITY
RIVAL = """
import errno, socket, struct, time

one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
one.bind((0, 0))
body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 0, 0, 0, 0, 0) + struct.pack("=HHI", 8, 6, 2800)
while True:
    one.send(struct.pack("=IHHII", 16 + len(body), 33, 5, 1, 0) + body)
    one.recv(4096)
    time.sleep(0.001)
"""
DELAY = re.compile(r"(rule priority 2800 .*) keeps being changed by (.*); backing off for (\d+) s")


@contextmanager
def rival(agent: Agent) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that deletes the rule again and again, so that the agent backs off three times."""
    process = subprocess.Popen(agent.host.command([sys.executable, "-c", RIVAL]))
    try:
        wait_until(lambda: len(DELAY.findall(agent.log())) >= 3, agent.log)
        yield process
    finally:
        process.kill()
        process.wait()


def test_backoff_from_a_rival_names_it_and_delays_nothing_else(node: Node, tmp_path: Path) -> None:
    host = node.host
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        with rival(agent) as process:
            delays = [int(seconds) for _rule, _who, seconds in DELAY.findall(agent.log())]
            assert delays[:3] == [1, 2, 4]
            assert all(who.endswith(f"(pid {process.pid})") for _rule, who, _seconds in DELAY.findall(agent.log()))

            before = len(agent.log())
            host.run("ip route flush table 7701; iptables-nft -w -t mangle -F HOMEWARD-PREROUTING")
            without = right.replaced(rules4=re.sub(r'.*"priority": 2800,.*\n', "", right["rules4"]))
            assert without != right
            agent.wait_until_restored(without)
            log = agent.log()[before:]
            assert "rule priority 2800" not in log.partition("add route")[0], "the others did not wait for it"
            report = agent.report()
            assert [sentence.startswith("rule priority 2800 ") for sentence in report["left_alone"]] == [True]
            assert report["drift"] == 1
            code, facts = status_json(host)
            assert (code, len(facts["missing"])) == (1, 1)
            assert "Backing off: rule priority 2800" in host.run(command("status"), check=False).stdout
        wait_until(lambda: agent.report()["drift"] == 0, agent.log, seconds=delays[-1] * 2 + 20)
        agent.wait_until_restored(right)
        assert agent.report()["left_alone"] == []
        count = agent.log().count("reconciled: add rule priority 2800")
        assert count <= 20 + 10, "a burst of twenty, some that were refilled meanwhile, and one for each delay"


def test_sighup_ends_the_backoff(node: Node, tmp_path: Path) -> None:
    host = node.host
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        with rival(agent):
            pass
        agent.reset_backoff()
        assert agent.report()["left_alone"] == []
        assert_same(right, restorable(host))


CHANGES: Mapping[str, Mapping[str, Any]] = {
    "another gateway": declared({**EXTERNAL, "gateways": ["1.2.3.2", "fd00:1:2:3::2"]}),
    "moved to another link": declared({**EXTERNAL, "interface": "eth0.200"}),
    "more pools": declared({**EXTERNAL, "interface": "eth0.200"}, STORAGE, {**SECOND, "interface": "eth0.100"}),
    "one pool": declared(STORAGE),
}


def test_a_running_agent_follows_every_apply(node: Node, tmp_path: Path) -> None:
    host = node.host
    with Agent(host, tmp_path) as agent:
        for name, parameters in CHANGES.items():
            apply(host, {**parameters, "iptables_variant": "nft"})
            right = restorable(host)
            agent.reset_backoff()
            assert agent.log() == "", f"{name}: there was no drift"
            assert status_json(host)[0] == 0, name
            agent.wait_until_restored(right)
        host.run("ip route flush table all proto 77; ip rule flush protocol 77")
        agent.wait_until_restored(right)
        assert "10.9.8" in agent.log(), "it has the last state, and its events"


class Systemd:
    """Restarts the agent as systemd would: during a run of the module, which waits until the agent is ready."""

    def __init__(self, host_command: list[str], folder: Path) -> None:
        self._command = host_command
        self._folder = folder
        self._number = folder / "pid"
        self.output = folder / "agent.txt"

    @property
    def pid(self) -> int:
        return int(self._number.read_text()) if self._number.exists() else 0

    def change(self, steps: Sequence[Step]) -> None:
        """Carry out steps as ``systemctl`` does; called on the node, with the lock held."""
        for step in steps:
            self.stop()
            if step.after is not None:
                self._start()

    def stop(self) -> None:
        if not self.pid:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        line = Path(f"/proc/{self.pid}/cmdline")  # empty for a zombie
        wait_until(lambda: not (line.exists() and line.read_bytes()), "the agent ends", READY_SECONDS)
        self._number.unlink()

    def _start(self) -> None:
        place = self._folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, self.output.open("a") as output:
            manager.bind(str(place))
            manager.settimeout(READY_SECONDS)
            process = subprocess.Popen(
                self._command,
                env={**os.environ, "NOTIFY_SOCKET": str(place)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            self._number.write_text(str(process.pid))
            assert manager.recv(100) == b"READY=1"
            place.unlink()


@contextmanager
def systemd(folder: Path) -> Iterator[Systemd]:
    """Yield a systemd whose agent ends with the block."""
    manager = Systemd(command("agent", "--sweep", "3600"), folder)
    try:
        yield manager
    finally:
        manager.stop()


def test_apply_starts_and_stops_the_agent_while_it_holds_the_lock(node: Node, tmp_path: Path) -> None:
    host = node.host
    with systemd(tmp_path) as manager:

        def service(version: str, *, running: bool = True) -> Service:
            return Service(Unit(UNIT_NAME, version, enabled=running, running=running), manager.change)

        apply(host, declared(EXTERNAL), service("", running=False))
        first = manager.pid
        assert first
        apply(host, CHANGES["another gateway"], service("an older one"))
        assert manager.pid not in (0, first)
        right = restorable(host)
        assert "proto 77" in host.output("ip -N rule")
        host.run("ip rule flush protocol 77; ip route flush table 7701")
        wait_until(lambda: status_json(host)[0] == 0, manager.output.read_text)
        assert right["rules4"] == restorable(host)["rules4"]

        apply(host, ABSENT, service("an older one"))
        assert manager.pid == 0, "the agent was stopped first, so it did not reconcile what was removed"
        assert not host.path(STATE_FILE).exists()
        assert "proto 77" not in host.output("ip -N rule; ip -N route show table all")
        assert "Traceback" not in manager.output.read_text()


def test_removal_with_an_agent_leaves_nothing(tmp_path: Path) -> None:
    with Node() as node, systemd(tmp_path) as manager:
        before = node.snapshot()
        apply(node.host, declared(EXTERNAL), Service(Unit(UNIT_NAME, "", enabled=False, running=False), manager.change))
        apply(node.host, ABSENT, Service(Unit(UNIT_NAME, "", enabled=True, running=True), manager.change))
        node.host.run("rm -rf /run/homeward-metallb-routing")  # systemd does: RuntimeDirectory
        assert_same(before, node.snapshot())


def test_concurrent_runs_are_serialized(node: Node, tmp_path: Path) -> None:
    host = node.host
    ways = [
        declared({**EXTERNAL, "gateways": [f"1.2.3.{number}", f"fd00:1:2:3::{number}"]}, iptables_variant="nft")
        for number in range(2, 8)
    ]
    with Agent(host, tmp_path) as agent, ThreadPoolExecutor(len(ways)) as pool:
        list(pool.map(lambda way: apply(host, way), ways))
        agent.reset_backoff()
        assert agent.log() == ""
        assert status_json(host)[0] == 0
    (last,) = set(re.findall(r'"gateway": "(1\.2\.3\.\d)"', read_state(host)))
    assert host.output("ip route show default table 7701").splitlines()[0].startswith(f"default via {last} ")


def test_the_agent_waits_for_the_lock(node: Node, tmp_path: Path) -> None:
    host = node.host
    right = restorable(host)
    with Agent(host, tmp_path) as agent:

        def work() -> str:
            with write_lock():
                subprocess.run(["ip", "rule", "del", "priority", "2800"], check=True)
                time.sleep(0.3)  # the agent has received the event, and tries to take the lock every 50 ms
                return subprocess.run(
                    ["ip", "rule", "list", "priority", "2800"], check=True, capture_output=True, text=True
                ).stdout

        assert host.call_in_child(work) == ""
        agent.wait_until_restored(right)


def test_chains_in_an_unreadable_table_are_not_written_again(node: Node, tmp_path: Path) -> None:
    """A native rule of nft hides managed chains; the agent reports that, skips that family's chains, and reconciles the rest."""
    host = node.host
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        host.run("nft add rule ip mangle PREROUTING ct state established meta mark set ct mark and 0xff00")
        agent.wait_for_log("ipv4 chains wait: ")
        host.run("ip route flush table 7701; ip6tables-nft -w -t mangle -F HOMEWARD-PREROUTING")
        agent.wait_for_log("reconciled: change chains ipv6")
        agent.reset_backoff()
        chain = host.output("nft -a list chain ip mangle PREROUTING")
        assert chain.count("jump HOMEWARD-PREROUTING") == 1
        assert [sentence.partition(":")[0] for sentence in agent.report()["waiting"]] == ["ipv4 chains wait"]
        code, facts = status_json(host)
        assert (code, facts["waiting"], facts["missing"]) == (1, agent.report()["waiting"], [])
        assert "nft -a list table ip mangle" in host.run(command("status"), check=False).stdout

        handle = next(line for line in chain.splitlines() if "ct state" in line).rpartition(" ")[2]
        host.run(f"nft delete rule ip mangle PREROUTING handle {handle}")
        wait_until(lambda: not agent.report()["waiting"], agent.log)
        agent.wait_until_restored(right)
        assert "chains ipv4" not in agent.log(), "there was no drift"
