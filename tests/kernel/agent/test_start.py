# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent at boot: links that do not exist yet or are down, and a boot that is not blocked by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.service import READY_TIMEOUT
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import dumps, loads
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Link
from tests.kernel.agent.lab import with_links
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, command, read_state, status_json, write_state
from tests.support.node import Node
from tests.support.snapshots import restorable

pytestmark = pytest.mark.usefixtures("persisted")

MANAGED = Link("eth0.100", "macvlan", "pool0")
PARENT = "ip link add pool0 type veth peer name other0; ip link set other0 up; ip link set pool0 up"


def own(node: Node) -> None:
    """Make eth0.100 a managed link on pool0, which does not exist yet."""
    node.host.run("ip link del eth0.100")
    write_state(node.host, dumps(with_links(loads(read_state(node.host)), MANAGED)))


def has_everything(node: Node) -> bool:
    return status_json(node.host)[0] == 0


def test_a_boot_completes_without_the_parent_which_is_used_when_it_appears(node: Node, tmp_path: Path) -> None:
    own(node)
    node.host.run("ip rule flush protocol 77; iptables-nft -w -t mangle -F HOMEWARD-PREROUTING")
    with Agent(node.host, tmp_path).launch().await_ready(READY_TIMEOUT + 10) as agent:
        waiting = "link eth0.100 waits: its parent pool0 does not exist"
        assert agent.log().count(waiting) == 1
        assert agent.report()["waiting"] == [waiting]
        code, facts = status_json(node.host)
        assert (code, facts["waiting"], facts["missing"]) == (1, [waiting], []), "everything else is reconciled"
        assert "HOMEWARD-IN" in node.host.output("iptables-nft -w -t mangle -S HOMEWARD-PREROUTING")

        node.host.run(PARENT)
        wait_until(lambda: has_everything(node), agent.log)
        assert agent.report()["waiting"] == []
        assert node.host.output("cat /sys/class/net/eth0.100/ifalias") == "homeward.metallb_routing"
        assert node.host.sysctl("net/ipv4/conf/eth0.100/src_valid_mark") == "1"


def test_the_boot_waits_for_a_foreign_link_that_appears_soon(node: Node, tmp_path: Path) -> None:
    right = restorable(node.host)
    node.host.run("ip link set eth0.100 down")
    with Agent(node.host, tmp_path).launch() as agent:
        agent.wait_for_log("routes over eth0.100 wait: the link is down")
        agent.reset_backoff()
        assert not agent.is_ready(), "it has checked twice, and units that are ordered after it must still wait"
        node.host.run("ip link set eth0.100 up")
        agent.await_ready()
        # The next unit finds everything.
        assert "default via 1.2.3.1 dev eth0.100" in node.host.output("ip route show table 7701")
        agent.wait_until_restored(right)


def test_restore_does_what_it_can_and_reports_what_waits(node: Node) -> None:
    own(node)
    done = node.host.run(command("restore"))
    assert done.stdout.endswith(
        "link eth0.100 waits: its parent pool0 does not exist\nThe node is in the desired state, except for what is waiting.\n"
    )
    node.host.run(PARENT)
    assert node.host.output(command("restore")).endswith("\nThe node is in the desired state.")
    assert has_everything(node)


def test_a_managed_link_stays_while_its_parent_is_down(node: Node, tmp_path: Path) -> None:
    own(node)
    node.host.run(PARENT)
    with Agent(node.host, tmp_path) as agent:
        wait_until(lambda: has_everything(node), agent.log)
        number = node.ip_json("link show eth0.100")[0]["ifindex"]
        right = restorable(node.host)
        node.host.run("ip link set pool0 down")
        wait_until(lambda: agent.report()["waiting"] == ["link eth0.100 waits: its parent pool0 is down"], agent.log)
        node.host.run("ip address add 198.51.100.7/32 dev eth0.100")  # foreign, would be deleted with the link
        node.host.run("ip link set pool0 up")
        wait_until(lambda: agent.report()["waiting"] == [], agent.log)
        node.host.run("ip address del 198.51.100.7/32 dev eth0.100")
        agent.wait_until_restored(right)
        assert node.ip_json("link show eth0.100")[0]["ifindex"] == number


def test_a_foreign_link_in_place_of_a_managed_one_stays_foreign_and_carries_routes(node: Node, tmp_path: Path) -> None:
    own(node)
    node.host.run(PARENT)
    node.host.run("ip link add eth0.100 link pool0 type macvlan; ip link set eth0.100 up")
    with Agent(node.host, tmp_path).launch() as agent:
        agent.wait_for_log("eth0.100 already exists and is managed by someone else")
        wait_until(lambda: "via 1.2.3.1" in node.host.output("ip route show table 7701"), agent.log)
    assert node.host.output("cat /sys/class/net/eth0.100/ifalias") == ""
