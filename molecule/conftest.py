# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all scenarios: the running lab, and each node as a host of the lab and of testinfra."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from containers.lab import ContainerLab
from testinfra.backend.base import CommandResult
from testinfra.backend.local import LocalBackend
from testinfra.host import Host as InfraHost

from tests.lab import Host
from tests.lab.topology import NODES


class ContainerBackend(LocalBackend):
    """Backend of testinfra that runs commands in a node's container."""

    def __init__(self, node: Host) -> None:
        super().__init__()
        self._node = node

    def run(self, command: str, *args: str, **_options: Any) -> CommandResult:
        """Run a command with quoted arguments in a shell."""
        return self.run_local(shlex.join(self._node.command(["sh", "-c", self.get_command(command, *args)])))


@pytest.fixture(scope="session")
def lab() -> ContainerLab:
    """Return the lab that `molecule create` started."""
    return ContainerLab.attach()


@pytest.fixture(params=NODES)
def node(lab: ContainerLab, request: pytest.FixtureRequest) -> Host:
    """Return each node in turn."""
    return lab.host(request.param)


@pytest.fixture
def host(node: Host) -> InfraHost:
    """Return each node in turn, as a host of testinfra."""
    return InfraHost(ContainerBackend(node))
