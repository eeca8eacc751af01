# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for network managers, and links that one takes. tests/vm has the links of pools and real managers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.snapshot import assert_same
from tests.support.managers import CATCH_ALL, networkd
from tests.support.modules import warnings_of
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, declared

FILES = "ls -d /etc/systemd/network* /run/systemd/network* /run/systemd/networkd.conf.d/* 2>/dev/null"
LINKS = {"links": [{"name": "mv0", "kind": "macvlan", "parent": "eth1"}]}


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as made:
        yield made


@pytest.mark.parametrize("state", ["unmanaged", "configuring"])
def test_a_link_of_ip_links_that_networkd_takes_is_a_warning(node: Node, tmp_path: Path, state: str) -> None:
    """It may be meant for networkd, so it stays."""
    made = node.change("ip_links", LINKS, before=networkd("mv0", tmp_path / "log", state))
    taken = [
        text
        for text in warnings_of(made)
        if f"mv0 is managed by a network manager: systemd-networkd configures it as {CATCH_ALL}" in text
    ]
    assert bool(taken) == (state == "configuring")
    again = node.change("ip_links", LINKS, before=networkd("mv0", tmp_path / "log", state))
    assert not again["changed"]
    assert not (tmp_path / "log").exists(), "no file was written"


def test_files_are_in_run_without_persistence(node: Node, tmp_path: Path) -> None:
    """A pool on an existing link needs no file for the link, but networkd must keep routes and rules."""
    log, before = tmp_path / "log", node.snapshot()
    files = node.host.run(FILES, check=False).stdout
    fake = networkd("eth1", log)
    planned = node.change("pool_routing", declared(EXTERNAL, persist=False), before=fake, check=True)
    made = node.change("pool_routing", declared(EXTERNAL, persist=False), before=fake)
    assert planned["commands"] == made["commands"]
    folder = "/run/systemd/networkd.conf.d"
    assert "ManageForeignRoutes=no" in node.host.output(f"cat {folder}/50-homeward-metallb-routing.conf")
    assert node.host.output(f"stat -c %a {folder} {folder}/*").split() == ["755", "644"]
    again = node.change("pool_routing", declared(EXTERNAL, persist=False), before=fake)
    assert not again["changed"]
    node.change("pool_routing", ABSENT, before=fake)
    assert node.host.run(FILES, check=False).stdout == files
    assert_same(before, node.snapshot())
    assert not log.exists(), "networkd reads this file when it starts"
