# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes our routing away: lost without the guard, put back with it, and a running connection survives.

How long each took is printed at the end, from the first event that the kernel told of to the last of what was put back, and
never asserted.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernel.agent.lab import Connection, Recorder, Span, prepare
from tests.kernel.agent.losses import FOREIGN_LINK, OWN_LINK, Loss
from tests.kernel.delivery.lab import lab_of
from tests.lab import Host, Lab
from tests.support.agent import Guard, differences, picture, until, until_same

CASES = [pytest.param("node1", loss, id=loss.name) for loss in FOREIGN_LINK]
CASES += [pytest.param("node2", loss, id=loss.name) for loss in OWN_LINK]
SERVICE = {"node1": "cl-p1", "node2": "lo-p2"}


@dataclass(frozen=True)
class World:
    """A lab with its state kept, a guard and a recorder on each node, and how each node must be."""

    lab: Lab
    guards: dict[str, Guard]
    recorders: dict[str, Recorder]
    right: dict[str, dict[str, str]]
    table: list[str]
    folder: Path

    @contextmanager
    def sweeping(self, name: str) -> Iterator[Guard]:
        """Have another guard in the usual one's place, which looks at everything every half second."""
        self.guards[name].stop()
        with Guard(self.lab.host(name), self.folder, sweep=0.5) as guard:
            yield guard
        self.guards[name].start()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("guard")
    with lab_of() as lab:
        prepare(lab)
        first, second = lab.nodes
        right = {node.name: picture(node) for node in lab.nodes}
        with (
            Guard(first, folder) as one,
            Guard(second, folder) as two,
            Recorder(first) as ear,
            Recorder(second) as other,
        ):
            world = World(lab, {"node1": one, "node2": two}, {"node1": ear, "node2": other}, right, [], folder)
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
def test_a_loss_is_put_back_and_a_connection_survives(world: World, name: str, loss: Loss) -> None:
    node = world.lab.host(name)
    missing = _without_guard(world, node, loss)
    assert missing, f"{loss.name}: nothing is lost without the guard, so its being there with the guard says nothing"

    with world.sweeping(name) if loss.by_sweep else nullcontext(world.guards[name]) as guard:
        world.recorders[name].clear()
        with Connection(world.lab, SERVICE[name]) as connection:
            loss.happen(world.lab, node)
            span = _await_healed(world, node, loss, guard)
            connection.finish()
    took = f"{span.milliseconds:.0f} ms" if span and not loss.by_sweep else "at the next sweep"
    world.table.append(f"{loss.name:66} off: {len(missing):3} lines of state lost   on: put back, {took}")


def _without_guard(world: World, node: Host, loss: Loss) -> list[str]:
    """Let it happen while the guard stands still, and return what is lost; then have the guard mend it."""
    guard = world.guards[node.name]
    guard.freeze()
    try:
        loss.happen(world.lab, node)
        missing = [line for line in differences(world.right[node.name], picture(node)) if ": - " in line]
        if loss.once_healed:
            missing += ["our jump is not the first"] * (not _is_first(node))
    finally:
        guard.thaw()
    if loss.by_sweep:
        guard.signal(signal.SIGHUP)
    _await_healed(world, node, loss, guard)
    guard.forgive()  # there are more losses in this minute than the guard would put back without a pause
    return missing


def _await_healed(world: World, node: Host, loss: Loss, guard: Guard) -> Span | None:
    """Wait until the node is as it was, and return when the first and the last of it happened."""
    if loss.recovery:
        loss.recovery(world.lab, node.name)
    span = None
    if loss.once_healed:
        until(lambda: _is_first(node), guard.said)
        span = world.recorders[node.name].span()
        node.run(loss.once_healed)
    until_same(node, world.right[node.name], guard)
    return span or world.recorders[node.name].span()


def _is_first(node: Host) -> bool:
    return "HOMEWARD-" in node.output("iptables-nft -w -t mangle -S PREROUTING").splitlines()[1]
