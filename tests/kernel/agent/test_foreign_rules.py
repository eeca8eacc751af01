# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent moves the managed rules before foreign ones that match replies, once for each change of these, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import Host
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, command, status_json
from tests.support.node import Node
from tests.support.snapshots import restorable

pytestmark = pytest.mark.usefixtures("persisted")

OWN_PROTOCOL = "77"


def priorities(host: Host, family: int = 4) -> list[int]:
    """Return the priorities of the managed rules."""
    rules = host.ip_json(f"-{family} rule")
    return sorted({rule["priority"] for rule in rules if str(rule.get("protocol")) in (OWN_PROTOCOL, "homeward")})


def foreign(host: Host, text: str) -> int:
    """Return the priority of the foreign rule with this text in the output of ``ip rule``."""
    (line,) = [line for line in host.output("ip -4 rule").splitlines() if text in line]
    return int(line.partition(":")[0])


def wait_until_before(agent: Agent, text: str) -> None:
    """Wait until all managed rules are before the foreign one."""
    host = agent.host
    wait_until(lambda: len(priorities(host)) > 0 and priorities(host)[-1] < foreign(host, text), agent.log)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ("from 192.168.1.11 lookup 101 priority 100", "from 192.168.1.11"),
        ("not fwmark 51820 table 51820", "not from all"),
    ],
)
def test_rules_are_moved_and_moved_back(node: Node, tmp_path: Path, selector: str, text: str) -> None:
    host = node.host
    right, declared = restorable(host), priorities(host)
    with Agent(host, tmp_path) as agent:
        host.run(f"ip -4 rule add {selector}")
        wait_until_before(agent, text)
        agent.wait_for_log("priority_base: the IPv4 rules have the priorities ")
        moved = priorities(host)
        assert len(moved) == len(declared)
        assert priorities(host, 6)[-1] == declared[-1], "the other family stays"
        code, facts = status_json(host)
        assert (code, facts["right"], len(facts["notes"])) == (0, True, 1)
        assert text in facts["notes"][0]
        assert f"Note: {facts['notes'][0]}" in host.run(command("status")).stdout
        host.run(f"ip -4 rule del {selector}")
        agent.wait_until_restored(right)


def test_several_rules_without_a_priority_one_after_the_other(node: Node, tmp_path: Path) -> None:
    """The kernel adds each directly before the managed ones."""
    host = node.host
    with Agent(host, tmp_path) as agent:
        for table in ("51820", "51821", "51822"):
            host.run(f"ip -4 rule add not fwmark {table} table {table}")
            wait_until_before(agent, f"lookup {table}")
        assert len(priorities(host)) == 4


def test_without_room_the_rule_is_named(node: Node, tmp_path: Path) -> None:
    host = node.host
    declared = priorities(host)
    with Agent(host, tmp_path) as agent:
        host.run("ip -4 rule add priority 3 lookup 101")
        agent.wait_for_log('priority_base: "priority 3 from all lookup 101"')
        code, facts = status_json(host)
        assert (code, facts["right"], len(facts["waiting"])) == (1, False, 1)
        assert "Give it a priority above 2999." in facts["waiting"][0]
        assert priorities(host) == declared
        host.run("ip -4 rule del priority 3")
        wait_until(lambda: not agent.report()["waiting"], agent.log)


def test_a_program_that_comes_and_goes_is_not_fought(node: Node, tmp_path: Path) -> None:
    host = node.host
    right = restorable(host)
    with Agent(host, tmp_path) as agent:
        for _ in range(40):
            if "backing off" in agent.log():
                break
            host.run("ip -4 rule add from 192.168.1.11 lookup 101 priority 100")
            wait_until(lambda: priorities(host)[-1] < 100 or "backing off" in agent.log(), agent.log)
            host.run("ip -4 rule del priority 100")
            wait_until(lambda: priorities(host)[-1] > 100 or "backing off" in agent.log(), agent.log)
        agent.wait_for_log("backing off")
        agent.reset_backoff()
        agent.wait_until_restored(right)
