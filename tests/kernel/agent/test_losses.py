# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses of managed objects: without the agent they last; the agent reconciles them and a running connection survives.

The time from the first event of the kernel to the last of the reconciliation is printed at the end, and never asserted.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.kernel.agent.lab import prepare
from tests.kernel.agent.losses import FOREIGN_LINK, OWN_LINK, Loss
from tests.kernel.delivery.lab import lab_of
from tests.lab import Host, Lab
from tests.lab.snapshot import Snapshot
from tests.lab.waiting import wait_until
from tests.support.agent import Agent
from tests.support.events import Recorder, Span
from tests.support.snapshots import lost, restorable
from tests.support.stream import Stream

CASES = [pytest.param("node1", loss, id=loss.name) for loss in FOREIGN_LINK]
CASES += [pytest.param("node2", loss, id=loss.name) for loss in OWN_LINK]
SERVICE = {"node1": "cl-p1", "node2": "lo-p2"}


@dataclass(frozen=True)
class World:
    """A lab with a persistent state, an agent and a recorder on each node, and the desired state of each node."""

    lab: Lab
    agents: dict[str, Agent]
    recorders: dict[str, Recorder]
    right: dict[str, Snapshot]
    table: list[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("agent")
    with lab_of() as lab:
        prepare(lab)
        first, second = lab.nodes
        right = {node.name: restorable(node) for node in lab.nodes}
        with (
            Agent(first, folder) as one,
            Agent(second, folder) as two,
            Recorder(first) as ear,
            Recorder(second) as other,
        ):
            world = World(lab, {"node1": one, "node2": two}, {"node1": ear, "node2": other}, right, [])
            yield world
    request.config.pluginmanager.register(Closing(world.table))


@dataclass(frozen=True)
class Closing:
    """What pytest calls at its end: prints the table."""

    lines: list[str]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("losses of routing")
        for line in self.lines:
            terminalreporter.write_line(line)


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_a_loss_is_reconciled_and_a_connection_survives(world: World, name: str, loss: Loss) -> None:
    node = world.lab.host(name)
    missing = _without_agent(world, node, loss)
    assert missing, f"{loss.name}: nothing is lost without the agent, so this case shows nothing"

    world.recorders[name].clear()
    with Stream(world.lab, SERVICE[name]) as connection:
        loss.happen(world.lab, node)
        span = _await_reconciled(world, node, loss, world.agents[name])
        connection.finish()
    took = f"{span.milliseconds:.0f} ms" if span and not loss.without_event else "at the next poll"
    world.table.append(f"{loss.name:66} off: {len(missing):3} lines of state lost   on: reconciled, {took}")


def _without_agent(world: World, node: Host, loss: Loss) -> list[str]:
    """Cause the loss while the agent is stopped, and return what is lost; then have the agent reconcile it."""
    agent = world.agents[node.name]
    reconciled = sum(agent.report()["healed"].values())
    agent.pause()
    try:
        loss.happen(world.lab, node)
        missing = lost(world.right[node.name], node)
        if loss.clean_up:
            missing += ["the managed jump is not the first"] * (not _is_first(node))
    finally:
        agent.resume()
    if loss.without_event:
        agent.signal(signal.SIGHUP)
    _await_reconciled(world, node, loss, agent)
    wait_until(lambda: sum(agent.report()["healed"].values()) > reconciled, agent.log)
    agent.reset_backoff()  # there are more losses in this minute than the agent reconciles without delay
    return missing


def _await_reconciled(world: World, node: Host, loss: Loss, agent: Agent) -> Span | None:
    """Wait until the node is as before; return the times of the first and the last event."""
    if loss.recovery:
        loss.recovery(world.lab, node.name)
    span = None
    if loss.clean_up:
        wait_until(lambda: _is_first(node), agent.log)
        span = world.recorders[node.name].span()
        node.run(loss.clean_up)
    agent.wait_until_restored(world.right[node.name])
    return span or world.recorders[node.name].span()


def _is_first(node: Host) -> bool:
    return "HOMEWARD-" in node.output("iptables-nft -w -t mangle -S PREROUTING").splitlines()[1]
