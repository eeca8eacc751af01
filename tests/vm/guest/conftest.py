# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Required kernel features: a missing one is a failure inside the virtual machine, and a skip elsewhere."""

from __future__ import annotations

import os
import platform

import pytest

from tests.lab import Lab, kernel_features

from .nodes import Baseline, matrices

INSIDE = "HOMEWARD_VM_EXCHANGE" in os.environ


def require(feature: str) -> None:
    """Fail inside the machine, or skip outside, if the kernel lacks a feature (see tests/lab/kernel_features.py)."""
    if kernel_features.supports(feature):
        return
    if INSIDE:
        pytest.fail(f"the machine's kernel {platform.release()} lacks {feature}")
    pytest.skip(f"this kernel lacks {feature}; `make vm` runs a kernel that has it")


@pytest.fixture(scope="module")
def vlan() -> None:
    """802.1Q."""
    require("vlan")


@pytest.fixture(scope="module")
def ipvs() -> None:
    """IPVS and dummy links."""
    require("ipvs")


@pytest.fixture(scope="module")
def baseline(lab: Lab) -> Baseline:
    """The initial state of the nodes of a module's lab, which every test restores."""
    return Baseline(lab)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of cells tried, and the matrices with lost cells."""
    for matrix in matrices:
        if matrix.reached < matrix.tried:
            terminalreporter.write_line(f"\n{matrix.title}\n{matrix.table}\n")
    for matrix in matrices:
        terminalreporter.write_line(f"{matrix.title}: {matrix.reached} of {matrix.tried} cells reached")
    terminalreporter.write_line(f"delivery: {sum(matrix.tried for matrix in matrices)} cells tried")
