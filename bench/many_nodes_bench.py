# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many nodes in one play: ``python -m bench.many_nodes_bench``.

The nodes are namespaces on this machine, so the total includes their work. To separate the controller's share, a wrapper of
the nodes' interpreter records the CPU time of each module.
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
    """A wrapper of the nodes' interpreter that records the CPU time of every module in a folder."""

    def __init__(self, folder: Path) -> None:
        self._records = folder / "used"
        self._records.mkdir()
        self.path = folder / "python"
        self.path.write_text(
            f'#!/bin/sh\n{inventory.DEFAULT_PYTHON} "$@"\ncode=$?\ntimes > {self._records}/$$\nexit $code\n'
        )
        self.path.chmod(0o755)

    def used(self) -> float:
        """Return the CPU seconds since the last call."""
        total = 0.0
        for record in self._records.iterdir():
            _shell, children = record.read_text().splitlines()
            match = _USED.fullmatch(children)
            assert match is not None, f"unexpected output of `times`: {children}"
            numbers = [float(number) for number in match.groups()]
            total += 60 * (numbers[0] + numbers[2]) + numbers[1] + numbers[3]
            record.unlink()
        return total


def show(what: str, cost: Cost, modules: float, count: int) -> None:
    """Print the cost of one play."""
    controller = (cost.cpu - modules) / count
    say(
        f"{what}: {cost.wall:.1f} s wall; CPU per node: controller {controller * 1e3:.0f} ms, module {modules / count * 1e3:.0f} ms"
    )


def main() -> None:
    """Measure a first run, then runs that change nothing and pings with different numbers of forks."""
    count = 10 if "--quick" in sys.argv else 50
    heading(f"{count} nodes in one play, {POOLS} pools each, on {os.cpu_count()} processors, which the nodes share")
    with Nodes(count, POOLS, "homeward-many") as nodes:
        interpreter = Interpreter(nodes.folder)
        values = declared(pools(POOLS), nodes.site.node_addresses.values(), metallb_routing_persist=False)
        python = str(interpreter.path)
        cost = nodes.play("apply", values, "--forks", "25", python=python)()
        show("first run, with copy of pyroute2, 25 forks", cost, interpreter.used(), count)
        for forks in FORKS:
            for what, playbook, expected_output in (
                ("ping", [{"ansible.builtin.ping": {}}], ""),
                ("changes nothing", "apply", "changed=0"),
            ):
                options = ("--forks", str(forks))
                cost = nodes.play(playbook, values, *options, python=python, expected_output=expected_output)()
                show(f"{what}, {forks} forks", cost, interpreter.used(), count)


if __name__ == "__main__":
    main()
