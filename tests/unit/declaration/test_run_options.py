# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say how a change is made."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.settings import check_run_options
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import assert_only


@pytest.mark.parametrize(
    "given", [{}, {"confirm_timeout": 0}, {"confirm_timeout": 3600}, {"metrics_directory": "/srv/a b"}]
)
def test_valid_options(given: dict[str, Any]) -> None:
    check_run_options(given)


SECONDS = "Give the seconds to wait for a new connection, for example 60, or 0 not to wait."
DIRECTORY = "Give the absolute path of the directory that node_exporter reads."


@pytest.mark.parametrize(
    ("option", "value", "reason", "remedy"),
    [
        ("confirm_timeout", -5, "-5 is not between 0 and 3600", SECONDS),
        ("confirm_timeout", 99999999, "99999999 is not between 0 and 3600", SECONDS),
        ("confirm_timeout", "soon", "soon is not a whole number", SECONDS),
        ("metrics_directory", "metrics", "metrics does not begin with /", DIRECTORY),
        ("metrics_directory", "../x", "../x does not begin with /", DIRECTORY),
        ("metrics_directory", "$(id)", "'$(id)' does not begin with /", DIRECTORY),
        ("metrics_directory", "/srv/\0", "'/srv/\\x00' is not a valid path", DIRECTORY),
        ("metrics_directory", "/srv/a\nb", "'/srv/a\\nb' is not a valid path", DIRECTORY),
        ("metrics_directory", "/" + "a" * 4095, "'/" + "a" * 63 + "...' is not a valid path", DIRECTORY),
        ("metrics_directory", ["/srv"], "a list is not a string", "Give one string."),
        ("pyroute2_path", "python", "python does not begin with /", "Give the absolute path"),
        ("pyroute2_path", "/srv/\x1b[1m", "'/srv/\\x1b[1m' is not a valid path", "Give the absolute path"),
    ],
)
def test_invalid_options(option: str, value: Any, reason: str, remedy: str) -> None:
    with pytest.raises(InputErrors) as caught:
        check_run_options({option: value})
    assert_only(caught.value, option, [f"{option}: {reason}", remedy])


def test_both_are_reported_together() -> None:
    with pytest.raises(InputErrors) as caught:
        check_run_options({"confirm_timeout": -5, "metrics_directory": "metrics"})
    assert [error.path for error in caught.value.errors] == ["confirm_timeout", "metrics_directory"]
