# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``table`` and ``mark`` options of a pool."""

from __future__ import annotations

import re
from typing import Any

from ..errors import InputError
from .settings import LARGEST_MARK, LARGEST_TABLE
from .values import read_bounded, read_integer, shown

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_TABLE_REMEDY = f"Give a number from 1 to 252 or from 256 to {LARGEST_TABLE}, or leave table out to have one chosen."
_OUR_ROUTES = "and our default route there would lead the node's other traffic astray"

_TAKEN_TABLES = {
    0: "0 means no table to the kernel",
    253: f"253 is the table default, {_OUR_ROUTES}",
    254: f"254 is the table main, {_OUR_ROUTES}",
    255: "255 is the table local, which the kernel keeps for itself",
}
_TAKEN_NAMES = {"unspec": 0, "default": 253, "main": 254, "local": 255}


def read_table(path: str, value: Any) -> int:
    """Return the number of a routing table that may be ours.

    Names are not looked up: what a number is called is written on each node, and this code runs before any is read.
    """
    name = value.strip() if isinstance(value, str) else ""
    if _TABLE_NAME.fullmatch(name):
        if name not in _TAKEN_NAMES:
            remedy = "Give the number that rt_tables has for it, or leave table out to have one chosen."
            raise InputError(path, f"unknown table name {shown(name)}, because names differ from node to node", remedy)
        value = _TAKEN_NAMES[name]
    table = read_integer(path, value, _TABLE_REMEDY)
    if table in _TAKEN_TABLES:
        raise InputError(path, _TAKEN_TABLES[table], _TABLE_REMEDY)
    if not 1 <= table <= LARGEST_TABLE:
        raise InputError(path, f"{shown(table)} is not between 1 and {LARGEST_TABLE}", _TABLE_REMEDY)
    return table


def read_mark(path: str, value: Any, mark_mask: int) -> int:
    """Return a mark that lies within the mask; where the mask is not known (0), one of 32 bits."""
    mask = mark_mask or LARGEST_MARK
    step = mask & -mask
    remedy = f"Give a multiple of {step:#x} up to {mask:#x}, or leave mark out to have one chosen."
    mark = read_bounded(path, value, 0, LARGEST_MARK, remedy)
    if mark == 0:
        raise InputError(path, "0 is what unmarked packets have", remedy)
    if mark & ~mask:
        raise InputError(path, f"{mark:#x} has bits outside mark_mask ({mask:#x}), which are not ours", remedy)
    return mark
