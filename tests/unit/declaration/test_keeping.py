# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options beside a declaration."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.keeping import check_keeping
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors


@pytest.mark.parametrize(
    "given", [{}, {"confirm_timeout": 0}, {"confirm_timeout": 3600}, {"metrics_directory": "/srv/a b"}]
)
def test_what_can_be_meant(given: dict[str, Any]) -> None:
    check_keeping(given)


@pytest.mark.parametrize(
    "given",
    [
        {"confirm_timeout": -5},
        {"confirm_timeout": 99999999},
        {"metrics_directory": "metrics"},
        {"metrics_directory": "../x"},
        {"metrics_directory": "/srv/\0"},
        {"metrics_directory": "/srv/a\nb"},
        {"metrics_directory": "/" + "a" * 4095},
        {"metrics_directory": ["/srv"]},
        {"pyroute2_path": "python"},
        {"pyroute2_path": "/srv/\x1b[1m"},
    ],
)
def test_what_cannot(given: dict[str, Any]) -> None:
    with pytest.raises(InputErrors) as caught:
        check_keeping(given)
    assert [error.path for error in caught.value.errors] == list(given)
