# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that cut the node off: it is reachable and as before once their time is up, whatever else goes wrong meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils import engine, pending
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import systemd, writer
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import write_rules
from tests.kernel.rollback import disturbances
from tests.kernel.rollback.controller import controller_of
from tests.kernel.rollback.disturbances import DISTURBANCES, Disturbance
from tests.kernel.rollback.harms import HARMS, NODE, Harm, decide_for
from tests.kernel.rollback.pending import (
    FIRST,
    POOLS,
    SOON,
    let_time_run_out,
    markers,
    pending_processes,
    time_is_up,
    until_none_pending,
    waiting,
)
from tests.kernel.rollback.world import World
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import apply, command
from tests.support.node import Node
from tests.support.snapshots import restorable

#: One of every group; the others, and most combinations, are slow.
QUICK = ("unreachable controller", "the pool's table for everything", "link dropped on arrival", "no answer to ARP")
SETTING = "no answer to ARP on the link, and IPv6 prohibited"
FEW = [harm for harm in HARMS if harm.name in (*QUICK, SETTING, "managed link deleted", "SSH diverted by a mark")]


def of(harms: Sequence[Harm], quick: Sequence[str]) -> list[Any]:
    """Return the harms as parameters; only the quick ones are not slow."""
    return [pytest.param(harm, id=harm.name, marks=[] if harm.name in quick else [pytest.mark.slow]) for harm in harms]


@pytest.mark.parametrize("harm", of(HARMS, QUICK))
def test_a_node_that_is_cut_off_is_rolled_back(world: World, harm: Harm) -> None:
    before = world.prepare(harm)
    world.do(harm)
    let_time_run_out(world.node)
    world.assert_as(before, harm)


@pytest.mark.parametrize("harm", of(FEW, (SETTING,)))
@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda disturb: disturb.__name__)
def test_a_disturbed_rollback(world: World, disturb: Disturbance, harm: Harm) -> None:
    """Chains stay while the programs of iptables do not work. Everything else is rolled back at once."""
    before = world.prepare(harm)
    world.do(harm)
    without_iptables = "iptables" in disturb.__name__
    with disturb(world.node):
        time_is_up(world.node)
        if not (without_iptables and harm.has_chains):
            world.await_controller(harm)
        if not without_iptables:
            wait_until(lambda: not _chains_left(world.node), "the chains are rolled back")
            world.assert_as(before, harm, but="files")
    until_none_pending(world.node)
    world.assert_as(before, harm)


def _chains_left(node: Node) -> str:
    return node.host.run("iptables-save; ip6tables-save").stdout.partition("HOMEWARD-HARM")[1]


@pytest.mark.parametrize("jump", [disturbances.clock_forward, disturbances.clock_backward])
def test_the_clock_of_the_node_does_not_matter(world: World, jump: Callable[[], None]) -> None:
    """It is set in the background process, after the change and before its time is up."""
    (harm,) = (harm for harm in HARMS if harm.name == "unreachable controller")
    before = world.prepare(harm)
    world.do(harm, lambda: _before_waiting(jump))
    let_time_run_out(world.node)
    world.assert_as(before, harm)


def _before_waiting(function: Callable[[], object]) -> None:
    from ansible_collections.homeward.metallb_routing.plugins.module_utils import rollback  # noqa: PLC0415

    wait_and_roll_back = rollback.wait_and_roll_back

    def first(*arguments: Any) -> None:
        function()
        wait_and_roll_back(*arguments)

    rollback.wait_and_roll_back = first


# --- the run that made the change is killed, with all that it started


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A new control group, as systemd-run, run0 and machinectl make one for the command that they run."""
    roots = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]
    if not roots:
        pytest.skip("this machine has no cgroup2 file system")
    group = Path(roots[0], f"homeward-harm-{os.getpid()}")
    group.mkdir()
    try:
        yield group
    finally:
        _kill(group)
        group.rmdir()


def _kill(group: Path) -> None:
    """Kill every process of the group, as systemd does when the command has ended, and wait until none is left."""
    (group / "cgroup.kill").write_text("1")
    wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), "the control group is empty")


TIMER = "/run/.lab/timer.json"


def _note_timer(name: str, seconds: int, words: Sequence[str]) -> bool:
    """Take over a timer as systemd would."""
    Path(TIMER).write_text(json.dumps([name, seconds, *words]))
    return True


@pytest.mark.parametrize("harm", of(FEW, ("unreachable controller",)))
def test_a_killed_control_group(world: World, control_group: Path, harm: Harm) -> None:
    """The timer of systemd is not in the group; the test starts its command."""
    before = world.prepare(harm)
    with (control_group / "cgroup.procs").open("w") as processes:

        def enter() -> None:
            processes.write("0")
            processes.flush()
            engine.systemd_runs = lambda: True  # type: ignore[attr-defined]
            systemd.start_timer = _note_timer

        world.do(harm, enter)
        _kill(control_group)
    assert not pending_processes(world.node)
    name, seconds, *words = json.loads(world.node.host.path(TIMER).read_text())
    assert (name.startswith("homeward-metallb-routing-rollback-"), seconds) == (True, SOON["confirm_timeout"])
    assert markers(world.node)
    world.node.host.run(words)
    world.assert_as(before, harm)


# --- the node reboots


@pytest.mark.parametrize("harm", of([harm for harm in FEW if not harm.lost], ("the pool's table for everything",)))
def test_a_reboot_before_the_confirmation(world: World, harm: Harm) -> None:
    """The next boot begins with the files of the node, and does what the service does then."""
    old = world.node
    apply(old.host, FIRST)
    before = restorable(old.host)
    apply(old.host, {**FIRST, **SOON}, before=waiting(partial(decide_for, harm.objects)))
    assert before.differences(restorable(old.host))
    with Node() as booted:
        for folder in ("etc", "var/lib"):
            _copy(old.host.path(f"/run/.lab/{folder}/upper"), booted, folder)
        booted.host.run(command("restore"))
        with controller_of(booted) as controller:
            controller.await_node(NODE)
            assert_same(before, restorable(booted.host))
    let_time_run_out(old)


def _copy(files: Path, node: Node, folder: str) -> None:
    """Copy what an overlay has of a folder."""
    subprocess.run(["cp", "-a", f"{files}/.", str(node.host.path(f"/{folder}"))], check=True)


# --- two controllers


def test_a_run_that_began_before_a_change_does_not_confirm_it(world: World) -> None:
    """Its connection is older than the change: it waits until the change is decided, and then makes the same one."""
    (harm,) = (harm for harm in HARMS if harm.name == "rule that refuses everything")
    before = world.prepare(harm)
    host = world.node.host
    wrong = [partial(decide_for, harm.objects)]

    def pause(*arguments: Any) -> None:
        Path("/run/.lab/writing").touch()
        wait_until(Path("/run/.lab/go-on").exists, "the first run may continue", seconds=60.0)
        write_rules(*arguments)

    def note_waiting() -> None:
        await_decisions, due = engine.await_decisions, pending.due

        def noted(*arguments: Any) -> None:
            Path("/run/.lab/started").touch()
            await_decisions(*arguments)

        def waits(name: str) -> float:
            Path("/run/.lab/waits").touch()
            return due(name)

        engine.await_decisions, pending.due = noted, waits

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(
            world.node.change,
            POOLS,
            {**FIRST, **SOON},
            before=waiting(*wrong, lambda: writer.WRITERS.update(rule=pause)),
        )
        wait_until(host.path("/run/.lab/writing").exists, "the first run writes")
        second = pool.submit(world.node.change, POOLS, {**FIRST, **SOON}, before=waiting(*wrong, note_waiting))
        wait_until(host.path("/run/.lab/started").exists, "the second run has begun")
        host.path("/run/.lab/go-on").touch()
        assert first.result()["changed"]
        wait_until(host.path("/run/.lab/waits").exists, "the second run waits")
        assert markers(world.node), "the second run has confirmed the change of the first"
        time_is_up(world.node)
        assert second.result()["changed"], "it found the change of the first run rolled back"
    until_none_pending(world.node)
    world.assert_as(before, harm)
