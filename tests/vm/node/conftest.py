# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node for all tests here, in the order in which they stand: a boot costs too much to have one for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm.cache import ROOT
from tests.vm.kernels import stock_kernel

from . import machine, network
from .image import node_image

STAND_IN = "/usr/local/lib/stand-in"


@dataclass(frozen=True)
class World:
    """A node and what is around it."""

    node: machine.Machine
    around: network.Surroundings


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A node with pods, kube-proxy's rules and servers, as it is before anybody has applied anything."""
    image = node_image(stock_kernel())
    with tempfile.TemporaryDirectory(prefix="homeward-") as name:
        folder = Path(name)
        with (
            network.around(folder) as around,
            machine.started(image, folder, around.sockets) as node,
        ):
            report(f"first boot until ssh answers: {node.await_boot():.0f} s")
            install_stand_in(node)
            yield World(node, around)


def install_stand_in(node: machine.Machine) -> None:
    """Give the node what stands in for its kubelet, and start it."""
    archive = machine.tar("tests/__init__.py", "tests/lab", "tests/vm/node/kubelet_stub", folder=ROOT)
    node.run(f"mkdir -p {STAND_IN} && tar --extract -C {STAND_IN} && chown -R root:root {STAND_IN}", given=archive)
    node.run(f"cp {STAND_IN}/tests/vm/node/kubelet_stub/kubelet.service /etc/systemd/system/")
    node.run("systemctl daemon-reload && systemctl enable --now kubelet.service")


_reports: list[str] = []


def report(line: str) -> None:
    """Keep a measured figure for the closing lines."""
    _reports.append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measured figures."""
    for line in _reports:
        terminalreporter.write_line(line)
