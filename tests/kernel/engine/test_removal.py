# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal leaves nothing, with or without the controller, and no stale metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import LIBRARY, STATE_FILE
from tests.lab.snapshot import assert_same
from tests.support.agent import Agent, apply, command, persist
from tests.support.node import MANAGED_FILES, Node
from tests.support.pools import ABSENT, declared
from tests.support.snapshots import restorable

COLLECTOR = "/var/lib/collector"
#: A rule that iptables cannot print.
NATIVE = "ct state established meta mark set ct mark and 0xff00"
ON_LINK = {"name": "on-link", "networks": ["10.9.8.0/24"], "interface": "eth1"}


@pytest.fixture
def node() -> Iterator[Node]:
    """A node that was never managed."""
    with Node() as made:
        made.host.run(f"mkdir {COLLECTOR}")
        yield made


def files(node: Node) -> str:
    """List the managed files."""
    return node.host.output(
        f"ls -d {' '.join(MANAGED_FILES)} {COLLECTOR}/* /run/homeward.metallb_routing 2>/dev/null || true"
    )


@pytest.mark.parametrize("damage", ["true", f"echo damaged > {STATE_FILE}"])
def test_the_command_leaves_nothing(node: Node, damage: str) -> None:
    before = restorable(node.host)
    persist(node.host)
    node.host.run(f"mkdir -p {LIBRARY}/python/pyroute2")
    assert files(node)
    node.host.run(damage)
    printed = node.host.output(command("remove"))
    assert printed.splitlines()[-1] == "Everything managed has been removed from this node."
    assert_same(before, restorable(node.host))
    assert files(node) == ""


def test_remove_deletes_the_metrics(node: Node, tmp_path: Path) -> None:
    persist(node.host, metrics_directory=COLLECTOR)
    with Agent(node.host, tmp_path):
        assert node.host.path(COLLECTOR).joinpath("homeward_metallb_routing.prom").exists()
    node.host.run(command("remove"))
    assert files(node) == ""


@pytest.mark.parametrize("changes", [{"metrics_directory": "/var/lib"}, {"persist": False}, {"state": "absent"}])
def test_stale_metrics_are_deleted(node: Node, tmp_path: Path, changes: dict[str, object]) -> None:
    persist(node.host, metrics_directory=COLLECTOR)
    with Agent(node.host, tmp_path):
        pass
    assert COLLECTOR in files(node)
    if changes.get("state") == "absent":
        apply(node.host, declared(state="absent"))
    else:
        persist(node.host, **changes)
    assert COLLECTOR not in files(node)


@pytest.mark.parametrize("table", ["mangle", "raw"])
@pytest.mark.parametrize("way", ["remove", "restore", "absent"])
def test_nothing_is_written_while_managed_chains_are_unreadable(node: Node, table: str, way: str) -> None:
    """iptables shows a table with a rule that it cannot print as empty; nft shows the managed chains."""
    before = restorable(node.host)
    persist(node.host)
    node.host.run(f"nft add rule ip {table} PREROUTING {NATIVE}")
    hidden = node.snapshot()
    printed = refusal(node, way)
    assert f"the ipv4 table {table} of iptables-nft holds rules that iptables cannot print" in printed
    assert f'"nft -a list table ip {table}" shows them' in printed
    assert_same(hidden, node.snapshot().replaced(files=hidden["files"]))

    node.host.run(f"nft delete rule ip {table} PREROUTING handle {handle_of_native(node, table)}")
    node.host.run(command("remove"))
    assert_same(before, restorable(node.host))
    assert files(node) == ""


def refusal(node: Node, way: str) -> str:
    """Return the message of the refusal."""
    if way == "absent":
        answer = node.module("pool_routing", ABSENT)
        assert answer.get("failed"), answer
        return str(answer["msg"])
    done = node.host.run(command(way), check=False)
    assert done.returncode == 3, done
    return done.stderr


def handle_of_native(node: Node, table: str) -> str:
    listed = node.host.output(f"nft -a list chain ip {table} PREROUTING")
    return next(line for line in listed.splitlines() if "ct state" in line).rpartition(" ")[2]


def test_a_native_table_without_managed_chains_does_not_block_a_removal(node: Node) -> None:
    node.host.run(f"nft 'add table ip mangle; add chain ip mangle own; add rule ip mangle own {NATIVE}'")
    node.change("pool_routing", declared(ON_LINK, persist=False))
    before = node.snapshot()
    assert not node.change("pool_routing", declared(ON_LINK, persist=False))["changed"]
    assert_same(before, node.snapshot())
    assert node.change("pool_routing", ABSENT)["changed"]
