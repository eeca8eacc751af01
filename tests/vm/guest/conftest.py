# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each feature of the kernel that a test here is about: missing inside the machine it is a failure, elsewhere a skip."""

from __future__ import annotations

import os
import platform

import pytest

from tests.lab import kernel_features

from .nodes import matrices

INSIDE = "HOMEWARD_VM_EXCHANGE" in os.environ


def require(feature: str) -> None:
    """Fail or skip, by where this is, if the kernel lacks the feature (see tests/lab/kernel_features.py)."""
    if kernel_features.supports(feature):
        return
    if INSIDE:
        pytest.fail(f"the machine's kernel {platform.release()} has no {feature}, and was made to have it")
    pytest.skip(f"this kernel has no {feature}: `make vm` brings one that has")


@pytest.fixture(scope="module")
def vlan() -> None:
    """802.1Q."""
    require("vlan")


@pytest.fixture(scope="module")
def ipvs() -> None:
    """IPVS and dummy links."""
    require("ipvs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cells of delivery matrices were tried, and the matrices of which many were lost, as they should."""
    for matrix in matrices:
        if matrix.reached < matrix.tried:
            terminalreporter.write_line(f"\n{matrix.title}\n{matrix.table}\n")
    for matrix in matrices:
        terminalreporter.write_line(f"{matrix.title}: {matrix.reached} of {matrix.tried} cells reached")
    terminalreporter.write_line(f"delivery: {sum(matrix.tried for matrix in matrices)} cells tried")
