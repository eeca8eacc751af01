#!/usr/bin/python
# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_routing_installed
short_description: Run pool_routing with the code that is installed on the node
version_added: 0.1.0
author: homeward.metallb_routing authors (@homeward)
description:
  - Internal. M(homeward.metallb_routing.pool_routing) tries this module first, because it is much smaller. Do not use it in a playbook.
  - Does nothing unless the node has the program of the agent, made from the same sources as the controller's collection.
options:
  version:
    description: Checksum of the collection's sources on the controller.
    type: str
    required: true
  arguments:
    description: Options of M(homeward.metallb_routing.pool_routing).
    type: dict
    required: true
attributes:
  check_mode:
    description: Changes nothing in check mode.
    support: full
  diff_mode:
    description: Returns what changes, in diff mode.
    support: full
  platform:
    description: Linux.
    support: full
    platforms: linux
"""

EXAMPLES = r"""
# What the action plugin of pool_routing does; playbooks use pool_routing.
- name: Route replies from the pools
  homeward.metallb_routing.pool_routing_installed:
    version: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    arguments:
      pools:
        - {name: external, networks: [1.2.3.0/24], interface: eth0.100, gateways: [1.2.3.1]}
"""

RETURN = r"""
installed_code_unusable:
  description:
    - The node has no code, or other code than the controller, or O(arguments) are invalid. Nothing was done. In all other cases the
      module returns what M(homeward.metallb_routing.pool_routing) returns.
  type: bool
  returned: if it is true
  sample: true
"""

import importlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.homeward.metallb_routing.plugins.module_utils.installed import (
    ROOT,
    UNUSABLE,
    use_installed_code,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.short_log import with_short_log


def main() -> None:
    """Run the module."""
    spec: dict[str, dict[str, Any]] = {
        "version": {"type": "str", "required": True},
        "arguments": {"type": "dict", "required": True},
    }
    module = with_short_log(AnsibleModule)(argument_spec=spec, supports_check_mode=True)
    if not use_installed_code(module.params["version"]):
        module.exit_json(**{UNUSABLE: True})
    # Not import statements: Ansible sends whatever a module's import statements name.
    options = importlib.import_module(f"{ROOT}.declaration.argument_spec").pool_routing_options()
    engine = importlib.import_module(f"{ROOT}.engine")
    running = importlib.import_module(f"{ROOT}.running")
    checked = ArgumentSpecValidator(options).validate(module.params["arguments"])
    if checked.error_messages:
        module.exit_json(**{UNUSABLE: True})  # pool_routing reports them
    module.params = checked.validated_parameters
    running.run_module(module, engine.converge_pools)


if __name__ == "__main__":
    main()
