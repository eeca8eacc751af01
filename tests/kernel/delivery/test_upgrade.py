# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that version 0.1.0 configured gets the current recipe without a moment in which replies are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

import pytest

from tests.kernel.delivery.lab import TIMEOUT, apply, assert_all_reached, assert_matrix, lab_of, pool_of, run
from tests.lab import Cell, Lab
from tests.lab.delivery import all_cells
from tests.support.modules import Answer, change
from tests.support.pools import declared
from tests.support.stream import Stream

#: One for each place of the endpoint, all announced by node1; the last one by IPv6, too
SERVICES = ("lo-p1", "cl-p2", "lo-host1", "cl-host1", "ds-lo-p1")
CLIENTS = ("outside", "lan", "onlink")
LINKS = pytest.mark.parametrize("link", ["dedicated", "shared"])


@contextmanager
def old_lab(link: str) -> Iterator[Lab]:
    """Yield a lab whose nodes version 0.1.0 has configured; the file has the commands that it reported."""
    commands = Path(__file__).with_name(f"version-0.1.0-{link}.commands").read_text(encoding="ascii")
    with lab_of(shared_link=link == "shared", rp_filter=1) as lab:
        for node in lab.nodes:
            node.run(commands)
        yield lab


def steps_of(answer: Answer) -> Iterator[list[str]]:
    """Yield the commands of an answer, those of iptables together: the run replaces all chains of a family at once."""
    commands = [line for line in answer["commands"] if line.startswith(("ip", "sysctl"))]
    for of_chains, lines in groupby(commands, key=lambda line: line.startswith(("iptables", "ip6tables"))):
        listed = list(lines)
        yield from [listed] if of_chains else ([line] for line in listed)


def assert_current(lab: Lab) -> None:
    """Assert that nothing of the old recipe is left."""
    for node in lab.nodes:
        assert not run(node, declared(pool_of(lab)))["changed"]
        rules = node.output("ip -4 rule; ip -6 rule")
        assert "2600:" not in rules
        assert "lookup main proto" not in rules
        assert "HOMEWARD-FORWARD" not in node.output("iptables-save; ip6tables-save")


def unreachable(cell: Cell) -> bool:
    """Whether version 0.1.0 had no route for MetalLB's answer to the client's neighbour solicitation."""
    return (cell.client, cell.family) == ("onlink", 6)


@LINKS
def test_each_step_of_an_upgrade_keeps_all_connections(link: str) -> None:
    """Open ones continue, and new ones are possible after every step."""
    with old_lab(link) as lab, ExitStack() as stack:
        node = lab.nodes[0]
        cells = [cell for cell in all_cells(lab, [*CLIENTS], [*SERVICES], ["tcp"]) if not unreachable(cell)]
        streams = [stack.enter_context(Stream(lab, service, client)) for service in SERVICES for client in CLIENTS]
        for number, lines in enumerate(steps_of(change(node, "pool_routing", declared(pool_of(lab)), check=True))):
            node.run("\n".join(lines))
            assert_all_reached(lab, lab.deliver(cells, timeout=TIMEOUT))
            if number % 3 == 0:  # a stream has 16 pieces
                assert [one.name for one in streams if not one.push()] == [], lines
        for stream in streams:
            stream.finish()
        apply(lab)
        assert_current(lab)


@LINKS
def test_an_upgraded_node_serves_everything(link: str) -> None:
    with old_lab(link) as lab, Stream(lab, "lo-p1") as stream:
        apply(lab)
        assert_current(lab)
        assert_matrix(lab)
        stream.finish()
