# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook plan: a table, the cases, the commands, once for all nodes with the same ones; nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play, variables

#: node2 has an address of its own on the pool's link, so its commands differ from the others'.
OWN_ADDRESS = "{{ ['1.2.3.201'] if inventory_hostname == 'node2' else [] }}"
RULE = "ip -4 rule add priority 2999 from all fwmark 0x1f00/0x1f00 nop protocol 77"


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
    return re.split(r"\n(?:\w[\w ]*:|ok: .*|\[WARNING\].*)\n|\nPLAY RECAP", played.text.split(f"\n{title}:\n\n")[1])[
        0
    ].splitlines()


def table(played: Played, title: str = "Plan") -> list[list[str]]:
    """Return the words of each row below the headings."""
    return [re.split(r"  +", line) for line in section(played, title)[1:] if line]


def groups(played: Played) -> dict[str, list[str]]:
    """Return the commands by the line that names their nodes."""
    found: dict[str, list[str]] = {}
    for line in section(played, "Commands that apply would run"):
        if re.match(r"# node", line):
            commands = found[line] = []
        elif found and line:
            commands.append(line)
    return found


def test_what_is_equal_on_several_nodes_stands_once(site: ManyNodes) -> None:
    played = planned(site)
    assert played.code == 0, played.text
    assert played.changed() == 0, "a plan changes nothing"
    rows = table(played)
    assert [row[:4] for row in rows] == [
        ["node1, node3", "external", "policy_routing", "eth0.100"],
        ["node2", "external", "policy_routing", "eth0.100"],
    ]
    numbers = [int(re.fullmatch(r"\+(\d+) -0", row[4])[1]) for row in rows]  # type: ignore[index]
    assert numbers[1] > numbers[0] > 10
    pools = section(played, "Pools")
    assert pools[0] == "external: 1.2.3.64/26"
    assert "policy_routing: replies must leave through 1.2.3.1" in " ".join(pools)
    found = groups(played)
    assert list(found) == ["# node[1:3] (3 hosts)", "# node2, in addition"]
    common, own = found.values()
    assert RULE in common, "neither quoted nor indented"
    assert (
        [line for line in own if "address add 1.2.3.201/32" in line]
        == [line for line in own if " address " in line]
        != []
    )
    assert "--- before" not in played.text, "no difference without --diff"
    assert "node[1:3] (3 hosts): cluster.kube_proxy_mode: kube-proxy was not detected" in " ".join(played.text.split())
    assert played.text.count("kube-proxy was not detected") == 1


def test_the_difference_is_plain_text(site: ManyNodes) -> None:
    played = planned(site, "--diff", "--limit", "node1")
    lines = section(played, "Differences")
    assert lines[:2] == ["# node1", "+sysctls:"], played.text
    order = ["+sysctls:", "+chains:", "+rules:", "+routes:", "+files:"]
    assert [line for line in lines if line in order] == order
    tables = [re.split(r"\) (\w+) ", line)[1] for line in lines if line.startswith("+  iptables (")]
    assert tables[0] == "raw"


def test_limit_restricts_the_plan_to_its_nodes(site: ManyNodes) -> None:
    played = planned(site, "--limit", "node2,node3")
    assert played.code == 0, played.text
    assert [row[0] for row in table(played)] == ["node2", "node3"]


def test_a_node_that_fails_does_not_hide_the_others(site: ManyNodes) -> None:
    """The first one fails, from which a task for all of them would be run otherwise."""
    played = planned(site, interface="{{ 'eth7' if inventory_hostname == 'node1' else 'eth0.100' }}")
    assert played.code != 0
    assert [row[:3] for row in table(played)] == [
        ["node1", "-", "no plan; see the error above"],
        ["node2", "external", "policy_routing"],
        ["node3", "external", "policy_routing"],
    ]
    assert list(groups(played)) == ["# node2, node3", "# node2, in addition"]


def test_a_plan_without_changes_is_one_empty_group(site: ManyNodes) -> None:
    values = variables() | {"metallb_routing_persist": False}
    assert play(site, "apply", values).code == 0
    try:
        played = play(site, "plan", values)
        assert played.code == 0, played.text
        assert [row[0] + row[-1] for row in table(played)] == ["node[1:3]none"]
        assert groups(played) == {"# node[1:3] (3 hosts)": ["# nothing to change"]}
        assert played.changed() == 0
    finally:
        assert play(site, "remove", {}).code == 0


def test_drift_fails_the_plan_if_asked_for(site: ManyNodes) -> None:
    played = planned(site, "-e", "metallb_routing_fail_on_drift=true")
    assert played.code == 2
    assert "node[1:3] (3 hosts): not configured as declared (metallb_routing_fail_on_drift)." in " ".join(
        played.text.split()
    )


def test_the_run_ends_at_the_first_node_that_fails(site: ManyNodes) -> None:
    interface = "{{ 'eth7' if inventory_hostname == 'node1' else 'eth0.100' }}"
    values = variables(
        networks=["1.2.3.64/26"], onlink_networks=["1.2.3.0/24"], gateways=["1.2.3.1"], interface=interface
    )
    before = [node.snapshot() for node in site.nodes]
    played = play(site, "apply", values | {"metallb_routing_persist": False})
    assert played.code == 2
    assert list(played.counts) == ["node1"]
    assert "The run ends here. The 2 nodes that follow stay as they are." in " ".join(played.text.split())
    assert [old.difference(node.snapshot()) for old, node in zip(before, site.nodes, strict=True)] == [""] * 3
