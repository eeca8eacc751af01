# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's modules, run on a node as Ansible runs them, and what they answer."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.homeward.metallb_routing.plugins.module_utils import engine, info, object_modules
from tests.lab import Host
from tests.support.steps import FORMATS

Answer = dict[str, Any]
MODULES = ("pool_routing", "ip_links", "ip_routes", "ip_rules", "iptables_chains", "routing_info")
_module = {
    name: importlib.import_module(f"{engine.__name__.rpartition('.module_utils')[0]}.modules.{name}")
    for name in MODULES
}
_LOADED_ONCE = (FORMATS, info, object_modules)  # here instead of in each child


def run_module(module: str, parameters: Mapping[str, Any]) -> Answer:
    """Run a module's ``main`` in this process, as Ansible's wrapper does, and return what it prints."""
    assert "ansible.errors" not in sys.modules, (
        "a test has imported what is the controller's; modules then think they run there, and do not return their warnings"
    )
    output = io.StringIO()
    with contextlib.redirect_stdout(output), patch_module_args(dict(parameters)):
        basic._PARSED_MODULE_ARGS = None  # noqa: SLF001 - kept by AnsibleModule for the rest of the process
        with contextlib.suppress(SystemExit):
            _module[module].main()
    answer: Answer = json.loads(output.getvalue())
    return answer


def run(
    node: Host,
    module: str,
    parameters: Mapping[str, Any],
    *,
    check: bool = False,
    before: Callable[[], object] | None = None,
) -> Answer:
    """Run a module on the node, in a child process and with a difference, and return its answer.

    :param before: called in the child first: drops rights, sets a trap.
    """

    def here() -> Answer:
        if before:
            before()
        return run_module(module, {**parameters, "_ansible_check_mode": check, "_ansible_diff": True})

    return node.call_in_child(here)


def change(node: Host, module: str, parameters: Mapping[str, Any], **options: Any) -> Answer:
    """Run a module that must not fail."""
    answer = run(node, module, parameters, **options)
    assert not answer.get("failed"), (node.name, answer["msg"])
    return answer


def warnings_of(answer: Answer) -> list[str]:
    """Return the texts of a module's warnings."""
    return [item["event"]["msg"] for item in answer.get("warnings", ())]


def assert_error(answer: Answer, path: str, reason: str) -> None:
    """Assert that this is the only error: its path, the reason, and after the full stop a remedy."""
    assert [error["path"] for error in answer["errors"]] == [path], answer["errors"]
    message = answer["errors"][0]["message"]
    assert re.fullmatch(rf"{re.escape(path)}( \(pool \w+\))?: .*{re.escape(reason)}.*\. .*\.", message), message
    assert answer["msg"] == message
