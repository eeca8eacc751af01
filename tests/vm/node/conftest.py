# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node for all tests, which run in order: a boot for each test would take too long."""

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

STUB_FOLDER = "/usr/local/lib/kubelet-stub"


@dataclass(frozen=True)
class Environment:
    """A node and the network around it."""

    node: machine.Machine
    network: network.NodeNetwork


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """A node with pods, kube-proxy's rules and servers, before apply."""
    image = node_image(stock_kernel())
    with tempfile.TemporaryDirectory(prefix="homeward-") as name:
        folder = Path(name)
        with (
            network.created(folder) as around,
            machine.started(image, folder, around.sockets) as node,
        ):
            report(f"first boot until ssh responds: {node.await_boot():.0f} s")
            install_kubelet_stub(node)
            yield Environment(node, around)


def install_kubelet_stub(node: machine.Machine) -> None:
    """Install and start the substitute for kubelet."""
    archive = machine.tar("tests/__init__.py", "tests/lab", "tests/vm/node/kubelet_stub", folder=ROOT)
    node.run(
        f"mkdir -p {STUB_FOLDER} && tar --extract -C {STUB_FOLDER} && chown -R root:root {STUB_FOLDER}", stdin=archive
    )
    node.run(f"cp {STUB_FOLDER}/tests/vm/node/kubelet_stub/kubelet.service /etc/systemd/system/")
    node.run("systemctl daemon-reload && systemctl enable --now kubelet.service")


_reports: list[str] = []


def report(line: str) -> None:
    """Record a measurement for the summary."""
    _reports.append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measurements."""
    for line in _reports:
        terminalreporter.write_line(line)
