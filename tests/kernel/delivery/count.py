# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says at the end of a run of pytest how many cells of the delivery matrix were tried with real traffic.

A test module names it in ``pytest_plugins``, after importing it: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import pytest

_cells: list[int] = []


def count(cells: int) -> None:
    """Count the cells of one matrix, all of which were as they must be."""
    _cells.append(cells)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    if _cells:
        terminalreporter.write_line(f"delivery: {sum(_cells)} cells in {len(_cells)} runs, each as it must be")
