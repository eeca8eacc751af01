# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with read-only or noexec file systems: what fails names a remedy, and the remedy works."""

from __future__ import annotations

import pytest

from tests.support.agent import apply, command, fake_systemd, status_json
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, declared
from tests.support.snapshots import assert_equivalent, unchanged

POOLS = "pool_routing"
FIRST = declared(EXTERNAL)
SETTINGS = {
    "net/ipv4/conf/eth0.100/rp_filter": "1",
    "net/ipv4/conf/eth0.100/src_valid_mark": "1",
    "net/ipv6/conf/eth0.100/accept_ra": "0",
}


def make_read_only(node: Node, folder: str) -> None:
    node.host.run(f"mkdir -p {folder}; mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_cannot_be_written_names_the_remedy(node: Node, name: str) -> None:
    make_read_only(node, "/proc/sys")
    for other, value in SETTINGS.items():
        if other != name:
            node.host.set_sysctl(other, value)  # outside of the node's mount namespace
    with unchanged(node):
        problem = node.module(POOLS, FIRST)["msg"]
    remedy = (
        f"EROFS); /proc/sys is read-only here, as in a container: set {name} to {SETTINGS[name]} on the node itself"
    )
    assert f"{name} = {SETTINGS[name]}: " in problem
    assert remedy in problem
    assert ("or declare rp_filter: leave for the pool" in problem) is name.startswith("net/ipv4")


def test_settings_may_be_set_on_the_node_itself(node: Node) -> None:
    make_read_only(node, "/proc/sys")
    for name, value in SETTINGS.items():
        node.host.set_sysctl(name, value)
    with unchanged(node, assert_equivalent):
        assert node.change(POOLS, FIRST)["changed"]
        assert not node.change(POOLS, FIRST)["changed"]
        node.change(POOLS, ABSENT)


def test_the_filters_may_be_left(node: Node) -> None:
    make_read_only(node, "/proc/sys")
    pool = {**EXTERNAL, "networks": ["1.2.3.0/24"], "gateways": ["1.2.3.1"], "rp_filter": "leave"}
    with unchanged(node, assert_equivalent):
        assert node.change(POOLS, declared(pool))["changed"]
        node.change(POOLS, ABSENT)


@pytest.mark.parametrize("folder", ["/etc/systemd", "/var/lib"])
def test_files_of_the_agent_that_cannot_be_written_name_the_remedy(node: Node, folder: str) -> None:
    make_read_only(node, folder)
    with unchanged(node):
        answer = node.module(POOLS, {**FIRST, "persist": True}, before=fake_systemd)
        assert "EROFS); persist: false installs neither the agent nor its files" in answer["msg"], answer
    with unchanged(node, assert_equivalent):
        node.change(POOLS, {**FIRST, "persist": False}, before=fake_systemd)
        node.change(POOLS, {**ABSENT, "persist": False}, before=fake_systemd)


def test_the_agent_needs_no_file_system_with_exec(node: Node) -> None:
    """Its program is read by a shell and by Python, which are elsewhere."""
    node.host.run("mount -t tmpfs -o noexec,mode=755 tmpfs /var/lib")
    apply(node.host, FIRST)
    assert node.host.run([*command()[-1:], "status"], check=False).returncode == 126, "it cannot be executed by itself"
    assert status_json(node.host)[1]["right"] is True
    node.host.run("ip rule flush protocol 77")
    node.host.run(command("restore"))
    assert status_json(node.host)[1]["right"] is True
