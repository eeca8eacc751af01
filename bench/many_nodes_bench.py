# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many nodes in one play: ``python -m bench.many_nodes_bench``.

The nodes are namespaces of this machine, so total time is that of a controller which does the nodes' work as well. What the
controller alone uses is told apart by an interpreter that writes down what each module used.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from bench.measure import Cost, heading, say
from bench.nodes import Nodes, declared, pools
from tests.lab import inventory

POOLS = 10
FORKS = (5, 25, 50)
_USED = re.compile(r"(\d+)m([\d.]+)s (\d+)m([\d.]+)s")


class Interpreter:
    """A nodes' interpreter that leaves in a folder how much CPU every module of a play used."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder / "used"
        self._notes.mkdir()
        self.path = folder / "python"
        self.path.write_text(
            f'#!/bin/sh\n{inventory.DEFAULT_PYTHON} "$@"\ncode=$?\ntimes > {self._notes}/$$\nexit $code\n'
        )
        self.path.chmod(0o755)

    def used(self) -> float:
        """Return the seconds used since this was last asked."""
        total = 0.0
        for note in self._notes.iterdir():
            _shell, children = note.read_text().splitlines()
            match = _USED.fullmatch(children)
            assert match is not None, f"not what `times` prints: {children}"
            numbers = [float(number) for number in match.groups()]
            total += 60 * (numbers[0] + numbers[2]) + numbers[1] + numbers[3]
            note.unlink()
        return total


def show(what: str, cost: Cost, modules: float, count: int) -> None:
    """Print what one play took."""
    controller = (cost.cpu - modules) / count
    say(
        f"{what}: {cost.wall:.1f} s wall; CPU per node: controller {controller * 1e3:.0f} ms, module {modules / count * 1e3:.0f} ms"
    )


def main() -> None:
    """Measure a first run, then runs that change nothing with ever more forks, and a ping beside them."""
    count = 10 if "--quick" in sys.argv else 50
    heading(f"{count} nodes in one play, {POOLS} pools each, on {os.cpu_count()} processors that are the nodes' too")
    with Nodes(count, POOLS, "homeward-many") as nodes:
        interpreter = Interpreter(nodes.folder)
        values = declared(pools(POOLS), nodes.site.node_addresses.values(), metallb_routing_persist=False)
        python = str(interpreter.path)
        cost = nodes.play("apply", values, "--forks", "25", python=python)()
        show("first run (pyroute2 is brought), 25 forks", cost, interpreter.used(), count)
        for forks in FORKS:
            for what, playbook, must_say in (
                ("ping", [{"ansible.builtin.ping": {}}], ""),
                ("changes nothing", "apply", "changed=0"),
            ):
                options = ("--forks", str(forks))
                cost = nodes.play(playbook, values, *options, python=python, must_say=must_say)()
                show(f"{what}, {forks} forks", cost, interpreter.used(), count)


if __name__ == "__main__":
    main()
