# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries are read before Ansible converts their values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.action import ip_links, ip_routes, ip_rules
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.bring_pyroute2 import BringPyroute2

NUMBERS = [
    (ip_links, {"links": [{"name": "a", "parent": "eth0", "vlan_id": "010"}]}, "links[0].vlan_id", "010"),
    (ip_links, {"links": [{"name": "a", "parent": "eth0", "vlan_id": 10, "mtu": "1_500"}]}, "links[0].mtu", "1_500"),
    (
        ip_routes,
        {"routes": [{"destination": "5.6.7.0/24", "interface": "eth0", "metric": "010"}]},
        "routes[0].metric",
        "010",
    ),
    (ip_rules, {"rules": [{"priority": "1_0", "table": "100"}]}, "rules[0].priority", "1_0"),
    (ip_rules, {"rules": [None]}, "rules[0]", "null"),
    (ip_rules, {"rules": "[{'priority': 5}]"}, "rules", "turned into text"),
]


def action_of(module: Any, arguments: dict[str, Any]) -> Any:
    """Return the action plugin of a task."""
    action = object.__new__(module.ActionModule)
    action._task = SimpleNamespace(args=arguments)
    return action


@pytest.mark.parametrize(("module", "arguments", "path", "word"), NUMBERS, ids=[row[2] for row in NUMBERS])
def test_an_invalid_entry_is_refused_without_the_node(
    module: Any, arguments: dict[str, Any], path: str, word: str
) -> None:
    result = action_of(module, arguments).run()
    assert result["failed"]
    assert path in [error["path"] for error in result["errors"]]
    assert word in result["msg"]


@pytest.mark.parametrize(
    "arguments", [{"links": [{"name": "a", "parent": "eth0", "vlan_id": "10"}]}, {"links": []}, {}]
)
def test_valid_entries_are_left_to_the_module(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]) -> None:
    monkeypatch.setattr(BringPyroute2, "run", lambda *_arguments: {"changed": True})
    assert action_of(ip_links, arguments).run() == {"changed": True}
