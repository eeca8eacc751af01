# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process ``status`` takes for the agent."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import status
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import COMMAND, RUNTIME


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((RUNTIME, "agent", "--version", "1"), True),
        ((RUNTIME, "status"), False),
        ((COMMAND, "agent", "--version", "1"), True),  # in version 0.1.0
        ((COMMAND, "guard"), True),  # the sub-command in version 0.1.0
        ((COMMAND, "status"), False),
        (("agent",), False),  # k3s agent
        (("/usr/local/bin/k3s", "agent", "--server", "https://192.168.1.11:6443"), False),
    ],
)
def test_the_agent_is_known_by_its_command(words: tuple[str, ...], expected: bool) -> None:
    program = "import sys; print('started', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            assert status._is_agent(process.pid) is expected  # noqa: SLF001
        finally:
            process.communicate()
    assert not status._is_agent(process.pid)  # noqa: SLF001
