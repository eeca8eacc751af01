# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook plan: the cases, then the commands, once for all nodes with the same ones; nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play, variables

#: node2 has an address of its own on the pool's link, so its commands differ from the others'.
OWN_ADDRESS = "{{ ['1.2.3.201'] if inventory_hostname == 'node2' else [] }}"
RULE = "ip -4 rule add priority 2999 from all nop protocol 77"


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(3, prefix="homeward-plan") as made:
        yield made


def planned(site: ManyNodes, *options: str, interface: str = "eth0.100") -> Played:
    """Run the plan, and assert that it did not change the nodes."""
    before = [node.snapshot() for node in site.nodes]
    networks = {"networks": ["1.2.3.64/26"], "onlink_networks": ["1.2.3.0/24"], "gateways": ["1.2.3.1"]}
    values = variables(addresses=OWN_ADDRESS, interface=interface, **networks)
    played = play(site, "plan", values | {"metallb_routing_persist": False}, *options)
    assert [old.difference(node.snapshot()) for old, node in zip(before, site.nodes, strict=True)] == [""] * 3
    return played


def section(played: Played, title: str) -> list[str]:
    """Return the lines of a section of the plan."""
    return played.text.split(f"\n{title}:\n\n")[1].split("PLAY RECAP")[0].splitlines()


def groups(played: Played) -> dict[str, list[str]]:
    """Return the commands by the line that names their nodes."""
    shown = section(played, "The commands that apply would run")
    found: dict[str, list[str]] = {}
    for line in shown:
        if re.fullmatch(r"# node\d(, node\d)*", line):
            commands = found[line] = []
        elif found and line and not line.startswith("ok: "):
            commands.append(line)
    return found


def test_nodes_with_the_same_commands_are_one_group(site: ManyNodes) -> None:
    played = planned(site)
    assert played.code == 0, played.text
    cases = section(played, "The case of each pool")
    assert [line.split(" is ")[0] for line in cases if ": external on " in line] == [
        f"node{number}: external on eth0.100" for number in (1, 2, 3)
    ]
    assert all("replies must leave through 1.2.3.1" in line for line in cases if ": external on " in line)
    found = groups(played)
    assert list(found) == ["# node1, node3", "# node2"]
    assert all(RULE in commands for commands in found.values()), "neither quoted nor indented"
    own = [line for commands in found.values() for line in commands if "address add 1.2.3.201/32" in line]
    assert len(own) == 1
    assert "--- before" not in played.text, "no difference without --diff"


def test_limit_restricts_the_plan_to_its_nodes(site: ManyNodes) -> None:
    played = planned(site, "--limit", "node2,node3")
    assert played.code == 0, played.text
    assert "node1: external" not in played.text
    assert list(groups(played)) == ["# node2", "# node3"]


def test_a_node_that_fails_does_not_hide_the_others(site: ManyNodes) -> None:
    """The first one fails, from which a task for all of them would be run otherwise."""
    played = planned(site, interface="{{ 'eth7' if inventory_hostname == 'node1' else 'eth0.100' }}")
    assert played.code != 0
    assert "node1: no plan; see the error above" in played.text
    assert "node1: external" not in played.text
    assert list(groups(played)) == ["# node2", "# node3"]


def test_a_plan_without_changes_is_one_empty_group(site: ManyNodes) -> None:
    values = variables() | {"metallb_routing_persist": False}
    assert play(site, "apply", values).code == 0
    try:
        played = play(site, "plan", values)
        assert played.code == 0, played.text
        assert groups(played) == {"# node1, node2, node3": ["# nothing to change"]}
        assert played.changed() == 0
    finally:
        assert play(site, "remove", {}).code == 0
