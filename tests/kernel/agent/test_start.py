# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard as at boot: links that are not there yet, or not up, and nothing that hangs on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent.service import PATIENCE_AT_START
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import dumps, loads
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Link
from tests.kernel.agent.lab import with_links
from tests.support.agent import (
    Guard,
    command,
    picture,
    read_state,
    tell_status,
    until,
    until_same,
    write_state,
)
from tests.support.node import EngineNode

pytestmark = pytest.mark.usefixtures("kept")

OURS = Link("eth0.100", "macvlan", "pool0")
PARENT = "ip link add pool0 type veth peer name other0; ip link set other0 up; ip link set pool0 up"


def own(node: EngineNode) -> None:
    """Have eth0.100 be a link of ours on pool0, which is not there yet."""
    node.host.run("ip link del eth0.100")
    write_state(node.host, dumps(with_links(loads(read_state(node.host)), OURS)))


def has_everything(node: EngineNode) -> bool:
    return tell_status(node.host)[0] == 0


def test_boot_goes_on_without_the_parent_and_all_is_made_when_it_comes(node: EngineNode, tmp_path: Path) -> None:
    own(node)
    node.host.run("ip rule flush protocol 77; iptables-nft -w -t mangle -F HOMEWARD-PREROUTING")
    with Guard(node.host, tmp_path).launch().await_ready(PATIENCE_AT_START + 10) as guard:
        waiting = "link eth0.100 waits: its parent pool0 is not there"
        assert guard.said().count(waiting) == 1
        assert guard.report()["waiting"] == [waiting]
        code, facts = tell_status(node.host)
        assert (code, facts["waiting"], facts["missing"]) == (1, [waiting], []), "what needs no link is there already"
        assert "HOMEWARD-IN" in node.host.output("iptables-nft -w -t mangle -S HOMEWARD-PREROUTING")

        node.host.run(PARENT)
        until(lambda: has_everything(node), guard.said)
        assert guard.report()["waiting"] == []
        assert node.host.output("cat /sys/class/net/eth0.100/ifalias") == "homeward.metallb_routing"
        assert node.host.sysctl("net/ipv4/conf/eth0.100/src_valid_mark") == "1"


def test_the_boot_waits_for_a_foreign_link_that_comes_soon(node: EngineNode, tmp_path: Path) -> None:
    right = picture(node.host)
    node.host.run("ip link set eth0.100 down")
    with Guard(node.host, tmp_path).launch() as guard:
        until(lambda: "routes over eth0.100 wait: it is down" in guard.said(), guard.said)
        guard.forgive()
        assert not guard.is_ready(), "it has looked twice, and what comes after it in the boot must still wait"
        node.host.run("ip link set eth0.100 up")
        guard.await_ready()
        # Whoever is started next finds everything.
        assert "default via 1.2.3.1 dev eth0.100" in node.host.output("ip route show table 7701")
        until_same(node.host, right, guard)


def test_restore_does_what_it_can_and_says_what_it_waits_for(node: EngineNode) -> None:
    own(node)
    done = node.host.run(command("restore"))
    assert done.stdout.endswith(
        "link eth0.100 waits: its parent pool0 is not there\nThe node is as declared as far as it can be at present.\n"
    )
    node.host.run(PARENT)
    assert node.host.output(command("restore")).endswith("\nThe node is as declared.")
    assert has_everything(node)


def test_a_link_of_ours_outlives_its_parent_going_down(node: EngineNode, tmp_path: Path) -> None:
    own(node)
    node.host.run(PARENT)
    with Guard(node.host, tmp_path) as guard:
        until(lambda: has_everything(node), guard.said)
        number = node.ip_json("link show eth0.100")[0]["ifindex"]
        right = picture(node.host)
        node.host.run("ip link set pool0 down")
        until(lambda: guard.report()["waiting"] == ["link eth0.100 waits: its parent pool0 is down"], guard.said)
        node.host.run("ip address add 198.51.100.7/32 dev eth0.100")  # another's, which would go with the link
        node.host.run("ip link set pool0 up")
        until(lambda: guard.report()["waiting"] == [], guard.said)
        node.host.run("ip address del 198.51.100.7/32 dev eth0.100")
        until_same(node.host, right, guard)
        assert node.ip_json("link show eth0.100")[0]["ifindex"] == number


def test_a_link_that_somebody_else_made_first_stays_theirs_and_carries_our_routes(
    node: EngineNode, tmp_path: Path
) -> None:
    own(node)
    node.host.run(PARENT)
    node.host.run("ip link add eth0.100 link pool0 type macvlan; ip link set eth0.100 up")
    with Guard(node.host, tmp_path).launch() as guard:
        until(lambda: "eth0.100 exists already and is not ours" in guard.said(), guard.said)
        until(lambda: "via 1.2.3.1" in node.host.output("ip route show table 7701"), guard.said)
    assert node.host.output("cat /sys/class/net/eth0.100/ifalias") == ""
