# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of the tests of iptables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.iptables.world import VARIANTS
from tests.support.namespace import Namespace


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace without links."""
    with Namespace("homeward-iptables") as made:
        yield made
