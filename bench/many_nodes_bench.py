# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many nodes in one play: ``python -m bench.many_nodes_bench``.

The nodes are namespaces on this machine, so the total includes their work. To separate the controller's share, a wrapper of
the nodes' interpreter records the CPU time of each module.

A second part measures what the size of the inventory costs. There, the hosts are this machine, with an interpreter that does
nothing but answer.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import Cost, cost_of_process, heading, say
from bench.nodes import Nodes, declared, pools
from tests.lab import inventory
from tests.support.playbooks import environment

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


class Inventory:
    """An inventory of hosts whose modules do nothing."""

    def __init__(self, folder: Path, count: int) -> None:
        python = folder / "python"
        python.write_text('#!/bin/sh\ncat > /dev/null\necho \'{"changed": false, "cases": [], "commands": []}\'\n')
        python.chmod(0o755)
        hosts = {
            f"n{number:05}": {"ansible_host": f"10.0.{number // 250}.{number % 250 + 1}"} for number in range(count)
        }
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(python),
            "ansible_become": False,
            **declared(pools(POOLS, ipv6=False), ()),
        }
        del variables["metallb_routing_cluster"]["node_addresses"]
        self._path = folder / f"{count}.yml"
        self._path.write_text(json.dumps({"k8s_cluster": {"hosts": hosts, "vars": variables}}))

    def apply(self, hosts: int) -> Cost:
        """Return the cost of the playbook apply on this number of hosts."""
        limit = ",".join(f"n{number:05}" for number in range(hosts))
        command = ["ansible-playbook", "-i", str(self._path), "homeward.metallb_routing.apply", "--limit", limit]
        return cost_of_process(command, environment(), "changed=0")


def sizes_of_inventories(counts: Iterable[int]) -> None:
    """Measure what one more host of the play costs, and the whole run for few hosts, with inventories of these sizes."""
    heading(f"Inventories of different sizes, {POOLS} pools, modules that do nothing")
    first = 0.0
    for count in counts:
        with TemporaryDirectory(prefix="homeward-") as folder:
            listed = Inventory(Path(folder), count)
            most = min(count, 50)
            few, many = listed.apply(5), listed.apply(most)
        each = (many.cpu - few.cpu) / (most - 5)
        first = first or each
        say(
            f"{count} hosts: {each * 1e3:.0f} ms CPU for each host of the play, {each / first:.2f} times the first;"
            f" {few} for 5 hosts"
        )


def main() -> None:
    """Measure sizes of inventories; then a first run, and runs that change nothing and pings with different numbers of forks."""
    sizes_of_inventories((10, 100, 1000) if "--quick" in sys.argv else (10, 100, 1000, 5000))
    count = 10 if "--quick" in sys.argv else 50
    heading(f"{count} nodes in one play, {POOLS} pools each, on {os.cpu_count()} processors, which the nodes share")
    with Nodes(count, POOLS, "homeward-many") as nodes:
        interpreter = Interpreter(nodes.folder)
        values = declared(pools(POOLS), nodes.site.node_addresses.values(), metallb_routing_persist=False)
        python = str(interpreter.path)
        cost = nodes.play("apply", values, "--forks", "25", python=python)()
        show("first run, with the tables of pyroute2, 25 forks", cost, interpreter.used(), count)
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
