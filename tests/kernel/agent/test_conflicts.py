# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who undoes what the guard does, and apply while the guard runs: nobody is fought, and nobody waits for ever."""

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
from tests.support.agent import (
    READY_SECONDS,
    Guard,
    Service,
    apply,
    call,
    command,
    differences,
    picture,
    read_state,
    tell_status,
    until,
    until_same,
)
from tests.support.node import EngineNode, assert_same
from tests.support.pools import ABSENT, EXTERNAL, SECOND, STORAGE, declared

pytestmark = pytest.mark.usefixtures("kept")

#: Deletes the IPv4 rule of priority 2800 whenever it is there, with one netlink socket: RTM_DELRULE with FRA_PRIORITY
FIGHTER = """
import errno, socket, struct, time

one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
one.bind((0, 0))
body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 0, 0, 0, 0, 0) + struct.pack("=HHI", 8, 6, 2800)
while True:
    one.send(struct.pack("=IHHII", 16 + len(body), 33, 5, 1, 0) + body)
    one.recv(4096)
    time.sleep(0.001)
"""
DELAY = re.compile(r"(rule priority 2800 .*) keeps being undone by (.*); left alone for (\d+) s")


def test_a_fight_is_slowed_down_named_and_keeps_nothing_else_back(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    right = picture(host)
    with Guard(host, tmp_path) as guard:
        fighter = subprocess.Popen(host.command([sys.executable, "-c", FIGHTER]))
        try:
            until(lambda: len(DELAY.findall(guard.said())) >= 3, guard.said)
            delays = [int(seconds) for _rule, _who, seconds in DELAY.findall(guard.said())]
            assert delays[:3] == [1, 2, 4]
            assert all(who.endswith(f"(pid {fighter.pid})") for _rule, who, _seconds in DELAY.findall(guard.said()))

            before = len(guard.said())
            host.run("ip route flush table 7701; iptables-nft -w -t mangle -F HOMEWARD-PREROUTING")
            without = {**right, "rules4": re.sub(r'.*"priority": 2800,.*\n', "", right["rules4"])}
            assert without != right
            until_same(host, without, guard)
            assert "rule priority 2800" not in guard.said()[before:].partition("add route")[0], (
                "the rest did not wait for it"
            )
            report = guard.report()
            assert [re.match("rule priority 2800 ", sentence) is not None for sentence in report["left_alone"]] == [
                True
            ]
            assert report["drift"] == 1
            code, facts = tell_status(host)
            assert (code, len(facts["missing"])) == (1, 1)
            assert "Left alone for a while: rule priority 2800" in host.run(command("status"), check=False).stdout
        finally:
            fighter.kill()
            fighter.wait()
        until(lambda: guard.report()["drift"] == 0, guard.said, seconds=delays[-1] * 2 + 20)
        until_same(host, right, guard)
        assert guard.report()["left_alone"] == []
        put_back = guard.said().count("put back: add rule priority 2800")
        assert put_back <= 20 + 10, "twenty at once, some that were earned meanwhile, and one for each delay"


def test_peace_is_at_once_for_whoever_asks(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    right = picture(host)
    with Guard(host, tmp_path) as guard:
        fighter = subprocess.Popen(host.command([sys.executable, "-c", FIGHTER]))
        try:
            until(lambda: len(DELAY.findall(guard.said())) >= 3, guard.said)
        finally:
            fighter.kill()
            fighter.wait()
        guard.forgive()
        assert guard.report()["left_alone"] == []
        assert differences(right, picture(host)) == [], "it did not wait until the pause was over"


CHANGES: Mapping[str, Mapping[str, Any]] = {
    "another gateway": declared({**EXTERNAL, "gateways": ["1.2.3.2", "fd00:1:2:3::2"]}),
    "moved to another link": declared({**EXTERNAL, "interface": "eth0.200"}),
    "more pools": declared({**EXTERNAL, "interface": "eth0.200"}, STORAGE, {**SECOND, "interface": "eth0.100"}),
    "one pool": declared(STORAGE),
}


def test_a_guard_that_runs_on_follows_every_apply_and_fights_none(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    with Guard(host, tmp_path) as guard:
        for name, parameters in CHANGES.items():
            apply(host, {**parameters, "iptables_variant": "nft"})
            right = picture(host)
            guard.forgive()
            assert guard.said() == "", f"{name}: there was nothing to put back"
            assert tell_status(host)[0] == 0, name
            until_same(host, right, guard)
        host.run("ip route flush table all proto 77; ip rule flush protocol 77")
        until_same(host, right, guard)
        assert "10.9.8" in guard.said(), "it knows the last state, and its events"


class Systemd:
    """Restarts the guard where systemd would: in the middle of a module's run, and waits until it is ready."""

    def __init__(self, host_command: list[str], folder: Path) -> None:
        self._command = host_command
        self._folder = folder
        self._number = folder / "pid"
        self.output = folder / "guard.txt"

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
        deadline = time.monotonic() + READY_SECONDS
        while Path(f"/proc/{self.pid}/cmdline").exists() and Path(f"/proc/{self.pid}/cmdline").read_bytes():
            assert time.monotonic() < deadline, "the guard does not end"
            time.sleep(0.01)
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
    """Have a systemd whose guard ends with the block."""
    manager = Systemd(command("guard", "--sweep", "3600"), folder)
    try:
        yield manager
    finally:
        manager.stop()


def test_apply_may_start_and_stop_the_guard_while_it_holds_the_lock(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    with systemd(tmp_path) as manager:

        def service(version: str, *, running: bool = True) -> Service:
            return Service(Unit(UNIT_NAME, version, enabled=running, running=running), manager.change)

        apply(host, declared(EXTERNAL), service("", running=False))
        first = manager.pid
        assert first
        apply(host, CHANGES["another gateway"], service("an older one"))
        assert manager.pid not in (0, first)
        right = picture(host)
        assert "proto 77" in host.output("ip -N rule")
        host.run("ip rule flush protocol 77; ip route flush table 7701")
        until(lambda: tell_status(host)[0] == 0, manager.output.read_text)
        assert right["rules4"] == picture(host)["rules4"]

        apply(host, ABSENT, service("an older one"))
        assert manager.pid == 0, "the guard was stopped first, so it could not put back what was taken away"
        assert not host.path(STATE_FILE).exists()
        assert "proto 77" not in host.output("ip -N rule; ip -N route show table all")
        assert "Traceback" not in manager.output.read_text()


def test_removal_with_a_guard_leaves_nothing(tmp_path: Path) -> None:
    with EngineNode() as node, systemd(tmp_path) as manager:
        before = node.picture()
        apply(node.host, declared(EXTERNAL), Service(Unit(UNIT_NAME, "", enabled=False, running=False), manager.change))
        apply(node.host, ABSENT, Service(Unit(UNIT_NAME, "", enabled=True, running=True), manager.change))
        node.host.run("rm -rf /run/homeward-metallb-routing")  # systemd does: RuntimeDirectory
        assert_same(before, node.picture())


def test_runs_at_once_come_one_after_the_other(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    ways = [
        declared({**EXTERNAL, "gateways": [f"1.2.3.{number}", f"fd00:1:2:3::{number}"]}, iptables_variant="nft")
        for number in range(2, 8)
    ]
    with Guard(host, tmp_path) as guard, ThreadPoolExecutor(len(ways)) as pool:
        list(pool.map(lambda way: apply(host, way), ways))
        guard.forgive()
        assert guard.said() == ""
        assert tell_status(host)[0] == 0
    (last,) = set(re.findall(r'"gateway": "(1\.2\.3\.\d)"', read_state(host)))
    assert host.output("ip route show default table 7701").splitlines()[0].startswith(f"default via {last} ")


def test_a_guard_waits_for_whoever_holds_the_lock_and_then_mends(node: EngineNode, tmp_path: Path) -> None:
    host = node.host
    right = picture(host)
    with Guard(host, tmp_path) as guard:

        def work() -> str:
            with write_lock():
                subprocess.run(["ip", "rule", "del", "priority", "2800"], check=True)
                time.sleep(0.3)  # the guard has heard of it, and looks every 50 ms whether it may
                return subprocess.run(
                    ["ip", "rule", "list", "priority", "2800"], check=True, capture_output=True, text=True
                ).stdout

        assert call(host, work) == ""
        until_same(host, right, guard)


def test_what_cannot_be_seen_is_not_written_again(node: EngineNode, tmp_path: Path) -> None:
    """A rule of nft's own in our table hides ours; the guard says so, leaves that family's chains, and minds the rest."""
    host = node.host
    right = picture(host)
    with Guard(host, tmp_path) as guard:
        host.run("nft add rule ip mangle PREROUTING ct state established meta mark set ct mark and 0xff00")
        until(lambda: "ipv4 chains wait: " in guard.said(), guard.said)
        host.run("ip route flush table 7701; ip6tables-nft -w -t mangle -F HOMEWARD-PREROUTING")
        until(lambda: "put back: change chains ipv6" in guard.said(), guard.said)
        guard.forgive()
        chain = host.output("nft -a list chain ip mangle PREROUTING")
        assert chain.count("jump HOMEWARD-PREROUTING") == 1
        assert [sentence.partition(":")[0] for sentence in guard.report()["waiting"]] == ["ipv4 chains wait"]
        code, facts = tell_status(host)
        assert (code, facts["waiting"], facts["missing"]) == (1, guard.report()["waiting"], [])
        assert "nft -a list table ip mangle" in host.run(command("status"), check=False).stdout

        handle = next(line for line in chain.splitlines() if "ct state" in line).rpartition(" ")[2]
        host.run(f"nft delete rule ip mangle PREROUTING handle {handle}")
        until(lambda: not guard.report()["waiting"], guard.said)
        until_same(host, right, guard)
        assert "chains ipv4" not in guard.said(), "there was nothing to put back"
