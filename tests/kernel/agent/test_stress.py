# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses and changes on a node whose disk is full, whose memory is used up, or where others change everything all the time.

Minutes long; the short versions are in test_random.py and in tests/kernel/rollback.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.kernel.agent.losses import LEGACY_LOSSES, Loss
from tests.kernel.agent.test_random import ALL_LOST, FOREIGN, LOSSES, OWN_LOSSES, assert_stable, lose, remove_foreign
from tests.kernel.rollback.test_confirmation import markers, until_none_pending
from tests.lab import Host
from tests.lab.snapshot import Snapshot, assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, command, fake_systemd, persist, status_json
from tests.support.examples import printed_seed
from tests.support.foreign_writers import foreign_writers, storm
from tests.support.modules import run_module
from tests.support.node import Node
from tests.support.pools import EXTERNAL, STORAGE, declared
from tests.support.snapshots import restorable

pytestmark = [pytest.mark.slow]

ROUNDS = 60
LOSSES_AT_ONCE = 5
_JUMP = re.compile(r"-A [A-Z]+ .*-j HOMEWARD-|\bjump HOMEWARD-")
STORM_SECONDS, CHANGES_A_SECOND = 60.0, 50_000


@pytest.fixture
def chance() -> random.Random:
    return random.Random(printed_seed())


@contextmanager
def full_disk(host: Host) -> Iterator[None]:
    """Leave no byte in the file system of /run, which also has the node's /etc and /var/lib."""
    host.run("mount -o remount,size=$(df -B1 --output=used /run | tail -1) /run")
    assert host.run("head -c 100000 /dev/zero > /run/.lab/fill", check=False).returncode
    try:
        yield
    finally:
        host.run("mount -o remount,size=1g /run; rm -f /run/.lab/fill")


def test_the_agent_reconciles_ten_thousand_losses_among_foreign_changes(
    node: Node, tmp_path: Path, chance: random.Random
) -> None:
    persist(node.host)
    node.host.run("\n".join(FOREIGN))
    _lose_many(node.host, tmp_path, chance, OWN_LOSSES, 10_000)


def test_the_agent_reconciles_a_thousand_losses_of_legacy_tables(
    node: Node, tmp_path: Path, chance: random.Random
) -> None:
    persist(node.host, iptables_variant="legacy")
    _lose_many(node.host, tmp_path, chance, LEGACY_LOSSES, 1000)


def state_of(host: Host) -> Snapshot:
    """Take a snapshot with adjacent managed jumps in one order: it depends on which was lost last, and makes no difference."""
    snapshot = restorable(host)
    parts = {}
    for name, text in snapshot.items():
        lines: list[list[str]] = []
        for line in text.splitlines():
            if lines and _JUMP.search(line) and _JUMP.search(lines[-1][-1]):
                lines[-1].append(line)
            else:
                lines.append([line])
        parts[name] = "\n".join(line for run in lines for line in sorted(run))
    return snapshot.replaced(**parts)


def _lose_many(host: Host, folder: Path, chance: random.Random, losses: list[Loss], count: int) -> None:
    with Agent(host, folder) as agent:
        wait_until(lambda: status_json(host)[1]["missing"] == [], agent.log)
        right, pid, start = state_of(host), agent.pid, time.monotonic()
        done = 0
        while done < count:
            with foreign_writers(host):
                for number in range(20):
                    chosen = chance.sample(losses, chance.randint(1, 2 * LOSSES_AT_ONCE - 1))
                    lose(host, tuple(line for loss in chosen for line in loss.lines))
                    done += len(chosen)
                    time.sleep(chance.choice((0.0, 0.0, 0.02, 0.1)))
                    if number % 5 == 0:
                        agent.signal(signal.SIGHUP)  # or it would back off
            agent.reset_backoff()
            remove_foreign(host)
            wait_until(
                lambda: not right.differences(state_of(host)),
                lambda: right.difference(state_of(host)) + agent.log()[-2000:],
            )
        print(f"{done} losses in {time.monotonic() - start:.0f} s")
        assert agent.pid == pid
        assert "Traceback" not in agent.log()


def test_a_full_disk_keeps_the_agent_from_nothing(node: Node, tmp_path: Path, chance: random.Random) -> None:
    host = node.host
    persist(host)
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        pid = agent.pid
        for _round in range(ROUNDS):
            with full_disk(host):
                lose(host, tuple(line for loss in chance.sample(LOSSES, LOSSES_AT_ONCE) for line in loss.lines))
                agent.signal(signal.SIGHUP)  # its report cannot be written
                remove_foreign(host)
                agent.wait_until_restored(right)
        assert agent.pid == pid
        assert "Traceback" not in agent.log()
        assert_stable(agent, right)


def test_a_change_on_a_full_disk_is_rolled_back(node: Node) -> None:
    host, more = node.host, declared(EXTERNAL, STORAGE, persist=True, confirm_timeout=0)
    persist(host)
    before = restorable(host)
    with full_disk(host):
        for _round in range(5):
            answer = node.module("pool_routing", more, before=fake_systemd)
            assert "No space left on device" in answer["msg"], answer
            assert "The change was rolled back; the node is as before" in answer["msg"]
            assert_same(before, restorable(host))
    node.change("pool_routing", more, before=fake_systemd)


def test_without_memory_the_agent_does_what_it_can_and_everything_afterwards(
    node: Node, tmp_path: Path, chance: random.Random
) -> None:
    """As at the limit of a control group; where it ends, the service manager starts it again."""
    host = node.host
    persist(host)
    host.run("\n".join(FOREIGN))
    with Agent(host, tmp_path) as first:
        wait_until(lambda: status_json(host)[1]["missing"] == [], first.log)
        right = restorable(host)
    deaths = 0
    agent = Agent(host, tmp_path).start()
    try:
        for number in range(ROUNDS):
            with suppress(ProcessLookupError, FileNotFoundError, IndexError):  # it has ended
                used = int(Path(f"/proc/{agent.pid}/statm").read_text().split()[0]) * resource.getpagesize()
                limit = used + chance.choice((0, 1 << 16, 1 << 20, 4 << 20, 9 << 20))
                resource.prlimit(agent.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            lose(host, tuple(line for loss in chance.sample(OWN_LOSSES, LOSSES_AT_ONCE) for line in loss.lines))
            time.sleep(chance.uniform(0, 0.3))
            with suppress(ProcessLookupError):
                resource.prlimit(agent.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            if number % 5 == 4:
                remove_foreign(host)
                while not _is_restored(agent, right):
                    deaths += 1
                    agent.stop()
                    agent = Agent(host, tmp_path).start()
        print(f"{ROUNDS} rounds, {deaths} restarts")
        assert deaths < ROUNDS
    finally:
        agent.stop()


def _is_restored(agent: Agent, right: Snapshot) -> bool:
    """Wait until the node is as it was, or return False because the agent has ended."""

    def ended() -> bool:
        return agent.process is None or agent.process.poll() is not None

    with suppress(ProcessLookupError):
        os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: ended() or not right.differences(restorable(agent.host)), agent.log, seconds=60.0)
    return not ended()


def _undecided(node: Node) -> list[Path]:
    """Return the markers of changes; an empty one is of a run that was killed before it could change anything."""
    found = (*markers(node), *markers(node, "rolling-back"))
    with suppress(FileNotFoundError):
        return [marker for marker in found if marker.read_text()]
    return list(found)


def test_a_killed_run_among_foreign_changes_is_rolled_back(node: Node, chance: random.Random) -> None:
    host = node.host
    node.change("pool_routing", declared(EXTERNAL, confirm_timeout=0))
    host.run("\n".join(line for line in FOREIGN if "2750" not in line and "7701" not in line))  # a run refuses those
    node.change("pool_routing", declared(EXTERNAL, STORAGE, confirm_timeout=0))
    took = time.monotonic()
    node.change("pool_routing", declared(EXTERNAL, confirm_timeout=0))
    took = time.monotonic() - took
    before = state_of(host)
    changed = 0

    def killed() -> None:
        child = os.fork()
        if not child:
            with suppress(BaseException):
                run_module("pool_routing", {**declared(EXTERNAL, STORAGE), "confirm_timeout": 1})
            os._exit(0)
        time.sleep(chance.uniform(0, 1.2 * took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    for _round in range(ROUNDS):
        with foreign_writers(host):
            host.call_in_child(killed)
            begun = bool(markers(node))
            changed += begun
            took *= 0.8 if begun else 1.3  # it depends on the load, and the foreign changes are part of that
            wait_until(lambda: not _undecided(node), "the change is rolled back")
        until_none_pending(node)
        assert_same(before, state_of(host))
    print(f"{changed} of {ROUNDS} kills were after a change had begun")
    assert changed


def test_fifty_thousand_foreign_changes_a_second_do_not_keep_the_agent_from_its_work(
    node: Node, tmp_path: Path
) -> None:
    host = node.host
    persist(host)
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        before = agent.processor()
        reconciled = [0]

        def lose_one() -> None:
            os.system("ip rule del priority 2800 2>/dev/null; ip route del default table 7701 2>/dev/null")  # noqa: S605
            reconciled[0] += 1

        done, seconds = host.call_in_child(partial(storm, STORM_SECONDS, CHANGES_A_SECOND, lose_one))
        print(
            f"{done / seconds:.0f} changes a second for {seconds:.0f} s, {agent.processor() - before:.1f} s of CPU time"
        )
        agent.reset_backoff()
        agent.wait_until_restored(right)
        host.run(command("status"))
        assert agent.report()["healed"]["rule"] > 5, "it has not only worked afterwards"
        assert_stable(agent, right)
        assert "Traceback" not in agent.log()
    host.run("; ".join(ALL_LOST), check=False)
