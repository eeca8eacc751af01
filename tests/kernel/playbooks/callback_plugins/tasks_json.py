"""Ansible stdout callback that prints nothing but one JSON object: the results of all tasks, by task and host."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: tasks_json
type: stdout
short_description: results as JSON
description: Prints the results of all tasks as one JSON object.
author: The homeward.metallb_routing authors
"""


class CallbackModule(CallbackBase):
    """Collects results, and prints them at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "tasks_json"

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[str, dict[str, Any]] = {}

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember the result."""
        self._results.setdefault(result.task.get_name(), {})[result.host.get_name()] = result.result

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002 - the signature is Ansible's
        """Print the results."""
        self._display.display(json.dumps(self._results, default=str))
