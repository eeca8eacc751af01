# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of the tests of refusals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.node import Node


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node on which nothing is ever written."""
    with Node() as made:
        yield made


@pytest.fixture
def bare() -> Iterator[Node]:
    """A node of its own for a test that changes it."""
    with Node() as made:
        yield made
