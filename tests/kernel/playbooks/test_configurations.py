# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks with the strategies, callback plugins and settings that people configure, and the cost with many hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.many_nodes import ManyNodes
from tests.support.playbooks import Played, play, variables
from tests.support.pools import CLUSTER

CALLBACKS = Path(__file__).parent / "callback_plugins"
ROW = "node1, node2  external  policy_routing  eth0.100  +"
CASE = "  policy_routing: replies must leave through 1.2.3.1"
ADDRESS = "node2: 192.168.1.12 (from the node)"
COMMAND = "ip -4 rule add priority "
POOL = {"networks": ["1.2.3.64/26"], "onlink_networks": ["1.2.3.0/24"], "gateways": ["1.2.3.1"]}


@pytest.fixture(scope="module")
def site() -> Iterator[ManyNodes]:
    with ManyNodes(2, prefix="homeward-configuration") as made:
        yield made


def silent_hosts(site: ManyNodes) -> str:
    """Return an inventory without addresses, so that the nodes are asked."""
    hosts = {
        node: {
            "ansible_connection": "netns",
            "ansible_netns_holder": str(site.holder_file(node)),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        for node in site.node_addresses
    }
    return json.dumps({"nodes": {"hosts": hosts}})


def run(site: ManyNodes, playbook: str, settings: Mapping[str, str], *options: str, **more: Any) -> Played:
    values = {**variables(**POOL), "metallb_routing_persist": False, **more}
    return play(site, playbook, values, *options, hosts=silent_hosts(site), settings=settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"ANSIBLE_STRATEGY": "free"},
        {"ANSIBLE_STRATEGY": "host_pinned"},
        {"ANSIBLE_DISPLAY_OK_HOSTS": "false"},
        {"ANSIBLE_STDOUT_CALLBACK": "minimal"},
        {"ANSIBLE_STDOUT_CALLBACK": "oneline"},
        {"ANSIBLE_INJECT_FACT_VARS": "false"},
        {"ANSIBLE_GATHERING": "explicit", "ANSIBLE_FORKS": "1"},
    ],
    ids=lambda settings: " ".join(f"{name[8:].lower()}={value}" for name, value in settings.items()),
)
def test_the_plan_is_shown(site: ManyNodes, settings: Mapping[str, str]) -> None:
    played = run(site, "plan", settings)
    assert played.code == 0, played.text
    lines = played.text.splitlines()
    assert len([line for line in lines if line.startswith(ROW)]) == 1, played.text
    assert len([line for line in lines if line.startswith(CASE)]) == 1
    assert len([line for line in lines if line.startswith(ADDRESS)]) == 1
    assert [line for line in lines if line.startswith(COMMAND)], "neither quoted nor indented"


def test_the_plan_is_part_of_the_result_where_the_output_is_json(site: ManyNodes) -> None:
    settings = {"ANSIBLE_STDOUT_CALLBACK": "tasks_json", "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS)}
    played = run(
        site,
        "plan",
        {**settings, "ANSIBLE_LOCALHOST_WARNING": "false"},
        metallb_routing_cluster={**CLUSTER, "kube_proxy_mode": "iptables"},
    )
    assert played.code == 0, played.text
    (shown,) = json.loads(played.text)["Show the plan"].values()
    assert [line for line in shown["plan"] if line.startswith(CASE)]
    assert [line for line in shown["plan"] if line.startswith(COMMAND)]


def test_an_error_that_is_fatal_for_all_does_not_hide_the_plan_of_the_others(site: ManyNodes) -> None:
    interface = "{{ 'eth7' if inventory_hostname == 'node1' else 'eth0.100' }}"
    values = variables(**POOL, interface=interface)
    played = run(site, "plan", {"ANSIBLE_ANY_ERRORS_FATAL": "true"}, **values)
    assert played.code != 0
    assert [line.split("  ")[0] for line in played.text.splitlines() if "no plan; see the error above" in line] == [
        "node1"
    ]
    assert CASE in played.text


@pytest.mark.parametrize(("strategy", "serial"), [("free", "100%"), ("host_pinned", "1"), ("linear", "1")])
def test_every_batch_knows_the_nodes_of_all(site: ManyNodes, strategy: str, serial: str) -> None:
    options = ("--check", "--diff")
    played = run(site, "apply", {"ANSIBLE_STRATEGY": strategy}, *options, metallb_routing_serial=serial)
    assert played.code == 0, played.text
    assert "node_addresses" not in played.text, "no warning"
    assert [played.text.count(f"-s 192.168.1.{last}/32") for last in (11, 12)] == [2, 2], "in the guard of both nodes"


@pytest.mark.parametrize("playbook", ["apply", "plan"])
def test_evaluations_grow_with_the_number_of_hosts_and_not_with_its_square(tmp_path: Path, playbook: str) -> None:
    """The hosts are this machine, with an interpreter that does nothing but answer."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncat > /dev/null\necho \'{"changed": false, "cases": [], "commands": []}\'\n')
    python.chmod(0o755)
    counts = []
    for number in (4, 8, 16):
        log = tmp_path / f"{number}"
        lookup = f"{{{{ lookup('ansible.builtin.pipe', 'echo >> {log}; echo 10.0.0.%d') }}}}"
        hosts = {
            f"n{one}": {
                "ansible_host": lookup % one,
                "ansible_connection": "local",
                "ansible_python_interpreter": str(python),
            }
            for one in range(number)
        }
        hosts_text = json.dumps({"k8s_cluster": {"hosts": hosts, "vars": {"ansible_become": False}}})
        played = play(None, playbook, variables(**POOL), hosts=hosts_text)
        assert played.code == 0, played.text
        counts.append(len(log.read_text().splitlines()))
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0]), counts
    assert counts[0] <= 4 * 8
