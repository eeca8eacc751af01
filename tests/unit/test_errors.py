# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a task that refuses its input."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, InputErrors, refused

GATEWAY = InputError("pools[1].gateways[0]", "1.2.4.1 is not inside", "Correct it.")
WHOLE = InputError("pools", "there are none", "Declare one.")
PLAIN = "pools[1].gateways[0]: 1.2.4.1 is not inside. Correct it."


def test_messages_name_the_pool() -> None:
    pools = [{"name": "external"}, {"name": "storage"}]
    message = "pools[1].gateways[0] (pool storage): 1.2.4.1 is not inside. Correct it."
    assert refused(InputErrors((GATEWAY, WHOLE)), {"pools": pools}) == {
        "failed": True,
        "msg": f"{message}\npools: there are none. Declare one.",
        "errors": [
            {"path": "pools[1].gateways[0]", "message": message},
            {"path": "pools", "message": "pools: there are none. Declare one."},
        ],
    }


@pytest.mark.parametrize(
    "pools",
    [
        None,
        5,
        "ab",
        {},
        [],
        [{"name": "a"}],
        [0, 1],
        [{}, {}],
        [{}, {"name": 7}],
        [{}, {"name": "a\nb"}],
        [{}, {"name": "a" * 64}],
        [{}, {"name": "$(reboot)"}],
    ],
)
def test_a_pool_without_a_printable_name_is_named_by_its_index_only(pools: Any) -> None:
    assert refused(GATEWAY, {"pools": pools})["msg"] == PLAIN
    assert refused(GATEWAY, {})["msg"] == PLAIN
