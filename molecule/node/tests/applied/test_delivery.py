# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After apply, and after a restart without Ansible, every client reaches the pool and the status is correct."""

from __future__ import annotations

from containers.assertions import COMMAND, assert_reached, status
from containers.lab import ContainerLab

from tests.lab import Host


def test_all_clients_reach_all_services(lab: ContainerLab) -> None:
    assert_reached(lab)


def test_status_shows_the_case(node: Host) -> None:
    facts = status(node)
    assert [(case["pool"], case["case"]) for case in facts["cases"]] == [("external", "policy_routing")]
    assert "external on eth0.100: policy_routing" in node.output([COMMAND, "status"])
    assert facts["guard"]["running"] is True


def test_usr_is_read_only_on_one_node(lab: ContainerLab) -> None:
    read_only = [node.name for node in lab.nodes if "Read-only" in node.run(["touch", "/usr"], check=False).stderr]
    assert read_only == ["node2"]


def test_metrics_are_in_the_configured_directory(node: Host) -> None:
    assert "homeward_metallb_routing_drift 0" in node.output(["cat", "/srv/homeward_metallb_routing.prom"])
