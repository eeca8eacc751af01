# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MetalLB's speaker loses its solicited-node groups with the link: the agent holds them until the speaker joins them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import service
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import speaker
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import GROUPS_FILE
from tests.kernel.agent.lab import POOL_LINK, parameters, prepare, recreate_link
from tests.kernel.delivery.lab import lab_of
from tests.lab import Cell, Host, Lab
from tests.lab.delivery import assert_delivered
from tests.lab.responder import solicited_node_group
from tests.lab.waiting import wait_until
from tests.support import modules
from tests.support.agent import Agent, command, metrics

SERVICE, ADDRESS = "ds-lo-p1", "fd00:1:2:3::21"
SAME_ADDRESS = (SERVICE, "empty-lo")
GROUP = solicited_node_group(ADDRESS).hex()
#: From the router's own address, and forwarded by it
CELLS = [Cell("poolrouter", SERVICE, family=6), Cell("outside", SERVICE, family=6)]
LOST = "lost the solicited-node groups of eth0.100"


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with lab_of() as lab:
        prepare(lab)
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """The lab; afterwards the speakers announce everything where they did at the start, and have forgotten nothing."""
    yield shared
    shared.announce(dict.fromkeys(SAME_ADDRESS, "node1"))
    shared.restart_speakers()


@pytest.fixture
def agent(lab: Lab, tmp_path: Path) -> Iterator[Agent]:
    """The agent of node1, which has seen the speaker's groups."""
    with Agent(lab.host("node1"), tmp_path) as running:
        await_remembered(running)
        yield running


def await_remembered(agent: Agent, group: str = GROUP, *, known: bool = True) -> None:
    """Wait until the agent knows that the speaker has joined the group, or that it has left it."""
    path = agent.host.path(GROUPS_FILE)
    wait_until(lambda: (path.exists() and group in path.read_text()) is known, agent.log)


def users(node: Host) -> int:
    """Return how often the group is joined on the pool's link."""
    lines = (line.split() for line in node.output("cat /proc/net/igmp6").splitlines())
    return sum(int(words[3]) for words in lines if words[1:3] == [POOL_LINK, GROUP])


def lose_by_down(lab: Lab, node: Host) -> None:
    """Have the speaker look at the links while the link is down."""
    node.run(f"ip link set {POOL_LINK} down")
    lab.scan_links()
    node.run(f"ip link set {POOL_LINK} up")
    _await_new_sockets(lab, node)


def lose_by_recreation(lab: Lab, node: Host) -> None:
    """Delete the link and make it again, as its owner would."""
    recreate_link(lab, node.name)
    _await_new_sockets(lab, node)


def _await_new_sockets(lab: Lab, node: Host) -> None:
    wait_until(lambda: f" {POOL_LINK}" in node.output("cat /proc/net/if_inet6"), "the link has its link-local address")
    lab.scan_links()


def forget_neighbours(lab: Lab) -> None:
    lab.host("poolrouter").run("ip neighbour flush dev pool")


@pytest.mark.parametrize("lose", [lose_by_down, lose_by_recreation])
def test_lost_groups_are_held_until_the_speaker_joins_them_again(lab: Lab, agent: Agent, lose: object) -> None:
    node = agent.host
    assert users(node) == 1
    assert callable(lose)
    lose(lab, node)
    agent.wait_for_log(LOST)
    wait_until(lambda: users(node) == 1, agent.log)
    forget_neighbours(lab)
    wait_until(lambda: agent.report()["drift"] == 0, agent.log)
    assert_delivered(lab, lab.deliver(CELLS))
    said = node.run(command("status"), check=False).stdout
    assert f"MetalLB: The speaker has {LOST}" in said
    assert "kubectl -n metallb-system rollout restart daemonset/speaker" in said
    assert "\nhomeward_metallb_routing_speaker_groups_held 0\n" not in metrics(node)
    lab.restart_speakers()
    wait_until(lambda: agent.report()["speaker"] == [], agent.log)
    wait_until(lambda: users(node) == 1, agent.log)
    assert "\nhomeward_metallb_routing_speaker_groups_held 0\n" in metrics(node)


def test_a_group_that_is_left_on_purpose_is_not_held(lab: Lab, agent: Agent) -> None:
    lab.announce(dict.fromkeys(SAME_ADDRESS, "node2"))
    await_remembered(agent, known=False)
    assert users(agent.host) == 0
    assert agent.report()["speaker"] == []


def test_groups_that_are_lost_while_the_agent_does_not_run_are_held_from_its_start(
    lab: Lab, agent: Agent, tmp_path: Path
) -> None:
    node = agent.host
    agent.stop()
    lose_by_down(lab, node)
    assert users(node) == 0
    with Agent(node, tmp_path) as again:
        wait_until(lambda: users(node) == 1, again.log)
        again.wait_for_log(LOST)


def test_sockets_and_groups_of_the_speaker_are_found(lab: Lab) -> None:
    node = lab.host("node1")

    def seen() -> tuple[frozenset[str], int]:
        index = int(Path("/proc/thread-self/net/igmp6").read_text().split(f"{POOL_LINK} ")[0].split()[-1])
        return speaker.speaker_links({index: POOL_LINK}), speaker.joined_groups([POOL_LINK])[POOL_LINK][GROUP]

    assert node.call_in_child(seen) == ({POOL_LINK}, 1)
    own = next(
        line.split()[0] for line in node.output("cat /proc/net/if_inet6").splitlines() if line.endswith(POOL_LINK)
    )
    groups = node.call_in_child(speaker.joined_groups, [POOL_LINK])[POOL_LINK]
    assert speaker.SOLICITED_NODE + own[-6:] not in groups
    assert node.call_in_child(speaker.speaker_links, {}) == frozenset()
    assert lab.host("outside").call_in_child(speaker.speaker_links, {1: "lo", 2: "eth0"}) == frozenset()


def test_it_is_reported_that_the_speaker_does_not_listen(lab: Lab, tmp_path: Path) -> None:
    """Here because the link has a master."""
    node = lab.host("node1")
    node.run("ip link add br0 type bridge")
    with Agent(node, tmp_path, sweep=0.2) as agent:
        await_remembered(agent)
        node.run(f"ip link set {POOL_LINK} master br0")
        try:
            lab.scan_links()
            agent.wait_for_log("but not on eth0.100, so it announces no address there")
        finally:
            node.run("ip link del br0")
        lab.scan_links()
        wait_until(lambda: not any("but not on" in one for one in agent.report()["speaker"]), agent.log)


def test_the_poll_is_more_frequent_than_promised() -> None:
    """The documentation says five seconds."""
    assert service.POLL_INTERVAL < 5


def test_a_run_warns_of_a_link_on_which_the_speaker_does_not_listen(lab: Lab) -> None:
    node, warning = lab.host("node1"), "MetalLB's speaker listens on eth0, but not on eth0.100"

    def warned() -> bool:
        answer = modules.run(node, "pool_routing", parameters(lab, "node1", "nft"), check=True)
        return any(warning in one for one in modules.warnings_of(answer))

    assert not warned()
    node.run(f"ip link set {POOL_LINK} arp off")
    lab.scan_links()
    try:
        assert warned()
    finally:
        node.run(f"ip link set {POOL_LINK} arp on")
    lab.scan_links()
    assert not warned()
