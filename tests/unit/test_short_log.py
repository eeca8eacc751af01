# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module writes to the node's log when it is called."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log

MODULES = Path(__file__).parents[2] / "plugins" / "modules"


class Logged(AnsibleModule):  # type: ignore[misc]
    """A module that was called with these parameters; its log is a list."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.entries: list[str] = []

    def log(self, msg: str, log_args: Any = None) -> None:  # noqa: ARG002 - as in Ansible
        self.entries.append(msg)


def logged(params: dict[str, Any]) -> str:
    module = with_short_log(Logged)(params)
    module._log_invocation()  # noqa: SLF001 - what AnsibleModule calls
    (entry,) = module.entries
    return str(entry)


def test_ansible_writes_its_log_entry_with_the_method_that_is_replaced() -> None:
    module = Logged({})
    module.argument_spec = module.aliases = {}
    module._log_invocation()  # noqa: SLF001 - what AnsibleModule calls
    assert module.entries == ["Invoked"]


@pytest.mark.parametrize(
    ("params", "entry"),
    [
        (
            {"state": "present", "mark": None, "pools": [{"name": "a"}] * 3},
            "Invoked with state=present pools=(3 entries)",
        ),
        (
            {"arguments": {"cluster": {"pod_networks": ["10.0.0.0/8"]}, "nodes": {"names": ["n"] * 9, "x": None}}},
            "Invoked with arguments={cluster: {pod_networks: (1 entries)}, nodes: {names: (9 entries)}}",
        ),
        ({"addresses": {f"node{n}": "10.0.0.1" for n in range(41)}}, "Invoked with addresses=(41 entries)"),
        ({"text": "x" * 201}, "Invoked with text=(201 characters)"),
        ({"check": False, "number": 0}, "Invoked with check=False number=0"),
    ],
)
def test_lists_are_logged_as_their_length(params: dict[str, Any], entry: str) -> None:
    assert logged(params) == entry


@pytest.mark.parametrize("path", sorted(MODULES.glob("*.py")), ids=lambda path: path.stem)
def test_each_module_with_a_list_or_mapping_has_a_short_log(path: Path) -> None:
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert "AnsibleModule" not in calls or path.stem == "routing_info", "it has only short options"
