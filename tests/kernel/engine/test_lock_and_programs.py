# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No run holds the lock while a program reads the chains, and none acts on chains that have changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import LOCK_FILE
from tests.lab.snapshot import assert_same
from tests.lab.waiting import wait_until
from tests.support.agent import command, persist
from tests.support.locks import held
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, declared
from tests.support.programs import LATE, broken, wrap
from tests.support.snapshots import restorable

LOST = "nft flush chain ip mangle HOMEWARD-PREROUTING"
POOLS = declared(EXTERNAL, iptables_variant="nft")
CHAINS = {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "rules": ["-j DROP"]}]}


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as made:
        wrap(made.host)
        yield made


def while_it_reads(node: Node, run: Callable[[], Any], line: str) -> Any:
    """Run the function; while it waits for the programs, whose output is old by then, take the lock and run the line."""
    files = [node.host.path(f"/run/.lab/late.{stem}-nft-save") for stem in ("iptables", "ip6tables")]
    with ThreadPoolExecutor(1) as pool:
        with broken(node.host, LATE):
            running = pool.submit(run)
            wait_until(lambda: all(file.exists() for file in files), "the chains are being read")
            with held(node.host, "flock", "--nonblock", LOCK_FILE):
                node.host.run(line)
            node.host.run(f"rm -f {LOCK_FILE}")
        return running.result()


@pytest.mark.parametrize(("module", "parameters"), [("pool_routing", POOLS), ("iptables_chains", CHAINS)])
def test_a_run_notices_that_chains_changed_after_they_were_read(
    node: Node, module: str, parameters: Mapping[str, Any]
) -> None:
    node.change(module, parameters)
    before = restorable(node.host)
    lost = LOST if module == "pool_routing" else "nft flush chain ip raw SITE-A"
    assert while_it_reads(node, lambda: node.module(module, parameters), lost)["changed"]
    assert_same(before, restorable(node.host))


def test_foreign_rules_in_other_tables_make_no_difference(node: Node) -> None:
    node.change("pool_routing", POOLS)
    foreign = "iptables-nft -w -t nat -A POSTROUTING -s 198.51.100.9 -j ACCEPT; rm /run/.lab/late.*"
    assert not while_it_reads(node, lambda: node.module("pool_routing", POOLS), foreign)["changed"]


def test_restore_notices_it(node: Node) -> None:
    persist(node.host)
    before = restorable(node.host)
    assert while_it_reads(node, lambda: node.host.run(command("restore"), check=False), LOST).returncode == 0
    assert_same(before, restorable(node.host))


@pytest.mark.parametrize("way", ["module", "command"])
def test_a_removal_notices_it(node: Node, way: str) -> None:
    before = node.host.output("ip rule; nft list ruleset | grep -c HOMEWARD || true")
    persist(node.host)

    def remove() -> None:
        if way == "module":
            node.change("pool_routing", ABSENT)
        else:
            node.host.run(command("remove"))

    while_it_reads(node, remove, LOST)
    assert node.host.output("ip rule; nft list ruleset | grep -c HOMEWARD || true") == before
