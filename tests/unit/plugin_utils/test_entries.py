# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries are read before Ansible converts their values."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

import pytest

from tests.support.playbooks import environment

#: In a process of its own: what is the controller's must not be imported where modules are tested.
ANSWERS = """
import importlib, json, sys, types
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.supply_pyroute2 import SupplyPyroute2
SupplyPyroute2.run = lambda *_arguments: {"changed": True}
answers = []
for name, arguments in json.load(sys.stdin):
    module = importlib.import_module("ansible_collections.homeward.metallb_routing.plugins.action." + name)
    action = object.__new__(module.ActionModule)
    action._task = types.SimpleNamespace(args=arguments)
    answers.append(action.run())
print(json.dumps(answers))
"""
NUMBERS = [
    ("ip_links", {"links": [{"name": "a", "parent": "eth0", "vlan_id": "010"}]}, "links[0].vlan_id", "010"),
    ("ip_links", {"links": [{"name": "a", "parent": "eth0", "vlan_id": 10, "mtu": "1_500"}]}, "links[0].mtu", "1_500"),
    (
        "ip_routes",
        {"routes": [{"destination": "5.6.7.0/24", "interface": "eth0", "metric": "010"}]},
        "routes[0].metric",
        "010",
    ),
    ("ip_rules", {"rules": [{"priority": "1_0", "table": "100"}]}, "rules[0].priority", "1_0"),
    ("ip_rules", {"rules": [None]}, "rules[0]", "null"),
    ("ip_rules", {"rules": "[{'priority': 5}]"}, "rules", "turned into text"),
    ("iptables_chains", {"prefix": "SITE-", "chains": [{"name": "OTHER", "table": "raw"}]}, "chains[0].name", "SITE-"),
    (
        "iptables_chains",
        {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "nat", "rules": ['-m comment --comment "a']}]},
        "chains[0].rules[0]",
        "quote",
    ),
    ("iptables_chains", {"prefix": "KUBE-", "chains": []}, "prefix", "KUBE-"),
    ("iptables_chains", {"prefix": "SITE-", "comment": "a\nb", "chains": []}, "comment", "one line"),
]
VALID = [
    ("ip_links", {"links": [{"name": "a", "parent": "eth0", "vlan_id": "10"}]}),
    ("ip_links", {"links": []}),
    ("ip_links", {}),
    ("iptables_chains", {"prefix": "SITE-", "chains": [{"name": "SITE-A", "table": "raw", "hook": "PREROUTING"}]}),
    ("iptables_chains", {"chains": [{"name": "SITE-A"}]}),
    ("iptables_chains", {"prefix": "SITE-"}),
]


@lru_cache
def answers() -> list[dict[str, Any]]:
    """Return what the action plugins answer to the invalid entries, then to the valid ones."""
    tasks = [*((row[0], row[1]) for row in NUMBERS), *VALID]
    command = [sys.executable, "-c", ANSWERS]
    done = subprocess.run(
        command, check=True, input=json.dumps(tasks), stdout=subprocess.PIPE, text=True, env=environment()
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(found) == len(tasks)
    return found


@pytest.mark.parametrize("number", range(len(NUMBERS)), ids=[row[2] for row in NUMBERS])
def test_an_invalid_entry_is_refused_without_the_node(number: int) -> None:
    _module, _arguments, path, word = NUMBERS[number]
    result = answers()[number]
    assert result["failed"]
    assert path in [error["path"] for error in result["errors"]]
    assert word in result["msg"]


def test_valid_entries_are_left_to_the_module() -> None:
    assert answers()[len(NUMBERS) :] == [{"changed": True}] * len(VALID)
