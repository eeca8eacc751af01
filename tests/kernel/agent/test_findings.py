# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent finds out what foreign routes and rules do to the packets of pools, and reports it while it lasts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.waiting import wait_until
from tests.support.agent import Agent, command, metrics, status_json
from tests.support.node import Node

pytestmark = pytest.mark.usefixtures("persisted")


def identifiers(agent: Agent) -> list[str]:
    return [one["identifier"] for one in agent.report()["findings"]]


@pytest.mark.parametrize(
    ("family", "add", "remove", "text"),
    [
        (
            4,
            "route add 203.0.113.0/24 via 192.168.1.1 dev eth0 table 7701",
            "route del 203.0.113.0/24 table 7701",
            "a reply from ",
        ),
        (6, "route add prohibit 2001:db8:7::/48 table 7701", "route del prohibit 2001:db8:7::/48 table 7701", "EACCES"),
    ],
)
def test_a_foreign_route_in_the_table_of_the_pools(
    node: Node, tmp_path: Path, family: int, add: str, remove: str, text: str
) -> None:
    host = node.host
    with Agent(host, tmp_path) as agent:
        wait_until(lambda: agent.report()["checked"], agent.log)
        assert identifiers(agent) == []
        host.run(f"ip -{family} {add}")
        wait_until(lambda: identifiers(agent) == ["reply-diverted"], agent.log)
        (found,) = agent.report()["findings"]
        assert text in found["cause"]
        assert "which is managed by someone else, is in the table of the pools" in found["cause"]
        assert (found["severity"], found["foreign"], found["pools"]) == ("failure", True, ["external"])
        agent.wait_for_log("[reply-diverted]")
        assert 'homeward_metallb_routing_findings{identifier="reply-diverted"} 1' in metrics(host)
        code, facts = status_json(host)
        assert (code, facts["right"], facts["missing"], facts["waiting"]) == (1, False, [], [])
        assert [one["identifier"] for one in facts["findings"]] == ["reply-diverted"]
        shown = host.run(command("status"), check=False).stdout
        assert "Failure: pool external: a reply " in shown
        host.run(f"ip -{family} {remove}")
        wait_until(lambda: identifiers(agent) == [], agent.log)
        assert status_json(host)[1]["right"]


def test_findings_last_from_check_to_check(node: Node, tmp_path: Path) -> None:
    """The periodic check reads no routes, and must find the same."""
    host = node.host
    host.run("ip -4 route add 10.112.1.0/24 dev eth1")
    with Agent(host, tmp_path, sweep=0.2) as agent:
        host.run("ip -4 route add 203.0.113.0/24 via 192.168.1.1 dev eth0 table 7701")
        wait_until(lambda: identifiers(agent) == ["reply-diverted"], agent.log)
        for _ in range(5):
            checked = agent.report()["checked"]
            wait_until(lambda before=checked: agent.report()["checked"] > before, agent.log)
            assert identifiers(agent) == ["reply-diverted"]
        assert agent.log().count("[reply-diverted]") == 1, "told once"


def test_a_family_that_loses_its_default_route_is_a_warning(node: Node, tmp_path: Path) -> None:
    host = node.host
    with Agent(host, tmp_path, sweep=0.2) as agent:
        host.run("ip -4 route del default")
        wait_until(lambda: identifiers(agent) == ["no-route-for-replies"], agent.log)
        code, facts = status_json(host)
        assert (code, facts["right"], [one["severity"] for one in facts["findings"]]) == (0, True, ["warning"])
        assert "Warning: pool external: a reply of the node's own" in host.run(command("status")).stdout


def test_a_gateway_that_does_not_answer(node: Node, tmp_path: Path) -> None:
    """A host that does not forward gives IPv6 routes up when their gateway does not answer."""
    host = node.host
    host.run("sysctl -q -w net/ipv6/conf/all/forwarding=0")
    host.run("ip -6 neigh replace fd00:1:2:3::1 dev eth0.100 nud failed")
    with Agent(host, tmp_path) as agent:
        wait_until(lambda: identifiers(agent) == ["gateway-silent"], agent.log)
        assert "fd00:1:2:3::1 does not answer neighbour solicitations" in agent.report()["findings"][0]["cause"]
