# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of iptables that fail, hang or are missing stop nothing that does not need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.rollback.pending import markers, until_none_pending
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import Agent, apply, command, persist, status_json
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, STORAGE, declared
from tests.support.programs import FAILS, HANGS, broken, hide, wrap
from tests.support.snapshots import assert_equivalent, restorable

LOSS = "ip rule flush protocol 77; ip -6 rule flush protocol 77; ip route flush table 7701"
CHAINS_LOST = "nft flush chain ip mangle HOMEWARD-PREROUTING"
WAYS = pytest.mark.parametrize("how", [FAILS, HANGS], ids=["fails", "hangs"])


def rules_and_routes(node: Node) -> str:
    """Return them as ip shows them: a snapshot needs the programs of iptables."""
    return node.host.output("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | grep -v fe80")


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as made:
        wrap(made.host)
        yield made


@WAYS
def test_the_agent_reconciles_all_but_the_chains_and_these_later(node: Node, tmp_path: Path, how: str) -> None:
    host = node.host
    persist(host)
    right = restorable(host)
    with Agent(host, tmp_path, sweep=1.0) as agent:
        with broken(host, how):
            host.run(CHAINS_LOST)
            for _time in range(2):
                host.run(LOSS)
                wait_until(lambda: "7701" in host.output("ip rule; ip -6 rule"), agent.log)
                wait_until(lambda: host.output("ip route show table 7701"), agent.log)
            if how == FAILS:
                wait_until(lambda: "iptables-nft-save failed" in agent.report()["trouble"], agent.log)
                assert any(sentence.startswith("chains wait: ") for sentence in agent.report()["waiting"])
        agent.wait_until_restored(right)
        wait_until(lambda: (agent.report()["trouble"], agent.report()["waiting"]) == ("", []), agent.log)


@WAYS
def test_the_boot_does_all_but_the_chains_and_is_not_blocked(node: Node, tmp_path: Path, how: str) -> None:
    host = node.host
    persist(host)
    host.run(LOSS)
    with broken(host, how), Agent(host, tmp_path).launch() as agent:
        wait_until(lambda: "7701" in host.output("ip rule"), agent.log)
        agent.await_ready()
        assert agent.stop() == 0, "a program that hangs does not keep it from ending"


def test_restore_and_status_do_what_they_can(node: Node) -> None:
    host = node.host
    persist(host)
    right, shown = restorable(host), rules_and_routes(node)
    host.run(LOSS)
    with broken(host, FAILS):
        done = host.run(command("restore"), check=False)
        assert done.returncode == 3
        assert "iptables-nft-save failed" in done.stderr
        assert rules_and_routes(node) == shown
        code, facts = status_json(host)
        assert (code, facts["missing"]) == (1, [])
        assert "iptables-nft-save failed" in facts["waiting"][0]
    assert host.run(command("restore"), check=False).returncode == 0
    assert_same(right, restorable(host))


@WAYS
def test_an_unconfirmed_change_is_rolled_back_all_but_the_chains_and_these_later(node: Node, how: str) -> None:
    before, shown = node.snapshot(), rules_and_routes(node)
    with_marks = declared(EXTERNAL, STORAGE)
    node.change("pool_routing", {**with_marks, "confirm_timeout": 3})
    with broken(node.host, how):
        wait_until(lambda: markers(node, "rolling-back"), "the rollback starts")
        wait_until(lambda: rules_and_routes(node) == shown, "rules and routes are as before")
        assert markers(node, "rolling-back"), "the chains are not"
    until_none_pending(node)
    assert_equivalent(before, node.snapshot())


def test_what_needs_no_chains_works_without_iptables(node: Node) -> None:
    shown = rules_and_routes(node)
    hide(node.host)
    parameters = declared({**STORAGE, "case": "onlink_route"})
    assert node.change("pool_routing", parameters)["changed"]
    assert not node.change("pool_routing", parameters)["changed"]
    assert node.change("routing_info", {})["chains"] == []
    before = rules_and_routes(node)
    answer = node.module("pool_routing", declared(EXTERNAL))
    for family, program in (("IPv4", "iptables"), ("IPv6", "ip6tables")):
        assert f"is {family}, and the node has no {program} to mark its packets. Install {program}" in answer["msg"]
    chains = [{"name": "SITE-A", "table": "raw", "rules": ["-j DROP"]}]
    answer = node.module("iptables_chains", {"prefix": "SITE-", "chains": chains})
    assert answer["msg"] == (
        "Chains cannot be managed: no iptables was found in PATH, /usr/local/sbin, /usr/sbin, /sbin."
        " Install the package iptables (1.8 or newer). Nothing was changed."
    )
    assert rules_and_routes(node) == before
    node.change("pool_routing", ABSENT)
    assert rules_and_routes(node) == shown


def test_a_node_whose_iptables_was_removed_is_freed_of_everything_else(node: Node, tmp_path: Path) -> None:
    host = node.host
    shown = rules_and_routes(node)
    persist(host)
    host.run(LOSS)
    hide(host)
    with Agent(host, tmp_path, sweep=1.0) as agent:
        wait_until(lambda: "7701" in host.output("ip rule"), agent.log)
        # They are read apart from everything else, and a busy machine may do that late.
        wait_until(lambda: any("no iptables was found" in text for text in agent.report()["waiting"]), agent.log)
    code, facts = status_json(host)
    assert code == 1
    assert "no iptables was found" in facts["waiting"][0]
    done = host.run(command("remove"), check=False)
    assert done.returncode == 3
    assert "ipv4 mangle HOMEWARD-PREROUTING" in done.stdout
    assert rules_and_routes(node) == shown
    assert not host.path("/var/lib/homeward.metallb_routing").exists()
    answer = apply(host, ABSENT)
    assert any("These chains stay on the node" in str(warning) for warning in answer["warnings"])
