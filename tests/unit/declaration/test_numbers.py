# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers are read the same way in every option of pools, settings and objects.

Ansible converts some of these spellings before the parser sees them if the option is an ``int`` of the argument spec.
"""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration import parse_declaration
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import printable
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputErrors
from tests.unit.declaration.flaws import VALID, assert_only, changed
from tests.unit.declaration.objects import PARSERS, VALID_OBJECTS

#: Each option that is a number, with a valid value.
OPTIONS: dict[str, int] = {
    "pools[0].vlan.id": 100,
    "pools[0].vlan.mtu": 1500,
    "pools[0].table": 100,
    "pools[0].mark": 256,
    "mark_mask": 7936,
    "priority_base": 2000,
    "table_base": 7701,
    "protocol": 77,
    "links[0].vlan_id": 100,
    "links[0].mtu": 1500,
    "routes[0].metric": 100,
    "routes[0].table": 100,
    "rules[0].priority": 100,
    "rules[0].goto": 200,
    "rules[0].table": 100,
    "rules[0].fwmark": 256,
    "rules[0].suppress_prefixlength": 8,
}

NOT_NUMBERS = ("0b1", "1_0", "0o7", "010", "+7", "\u0667", "7.0", "1e2", "0x", "7 7", 7.0, True, [7], {})


def parse(path: str, value: object) -> Any:
    """Parse a valid declaration, or a valid entry of an object, with this value at the path."""
    kind = path.partition("[")[0]
    if kind not in PARSERS:
        return parse_declaration(changed(VALID, {path: value}))
    option = path.rpartition(".")[2]
    action = {"action": "goto", "table": None} if option == "goto" else {}
    return PARSERS[kind][1]([{**VALID_OBJECTS[kind], **action, option: value}])


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=ascii)
@pytest.mark.parametrize("path", OPTIONS)
def test_what_is_not_a_number(path: str, value: object) -> None:
    with pytest.raises(InputErrors) as caught:
        parse(path, value)
    assert_only(caught.value, path, (f"{printable(value)} is not a whole number (decimal, or hexadecimal after 0x)",))


@pytest.mark.parametrize(("path", "number"), OPTIONS.items())
def test_what_is_a_number(path: str, number: int) -> None:
    expected = parse(path, number)
    for text in (str(number), hex(number), hex(number).upper().replace("X", "x"), f" {number}\n"):
        assert parse(path, text) == expected
