# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads single values: what Ansible hands over may be unset, of another type, or invalid.

There is one reader for each kind of value. Each takes the path of the value in the input first and raises
:class:`InputError` with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import InputError
from ..state.family import IPV4, IPV6

# A number with a leading zero is octal in YAML 1.1 and decimal in Python, so it is refused.
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19})")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@%+-]{1,64}")
_LONGEST_PRINTED = 64
_LONGEST_PATH = 4095  # bytes: PATH_MAX - 1, include/uapi/linux/limits.h

# A list or mapping that was turned into text, as `-e NAME='[...]'` does.
_STRUCTURE = re.compile(r"\s*(?:\{|\[\s*(?:[\[{\"']|\]|[0-9.]+/))")
_STRUCTURE_REMEDY = (
    "It looks like a list or mapping that was turned into text. On the command line, give JSON or a file: -e '{\"NAME\": ...}'"
    " or -e @FILE, not -e NAME=...; in a template, do not convert it to a string."
)

# What Ansible itself accepts as a boolean.
_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})

LARGEST_MARK = 0xFFFFFFFF
LARGEST_TABLE = 0xFFFFFFFF

#: The smallest MTU that IPv4 (RFC 791) and IPv6 (RFC 8200) allow, and the largest that a VLAN link accepts; in bytes.
SMALLEST_MTU = {IPV4: 68, IPV6: 1280}
LARGEST_MTU = 65535

#: ``IFNAMSIZ`` of the kernel without the final zero, in bytes.
LONGEST_INTERFACE_NAME = 15

_POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_INTERFACE_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,14}")
_INTERFACE_REMEDY = "Give the name as `ip -brief link` shows it, without @ and what follows."
_LONG_NAME_REMEDY = (
    "No link can have this name. Choose a shorter one for a link that is to be created, such as vlan100."
)
_RESERVED_INTERFACE_NAMES = {
    "lo": "is the loopback device, which receives no packets from outside",
    "all": "stands for all interfaces in net/ipv4/conf",
    "default": "stands for future interfaces in net/ipv4/conf",
    ".": "is a directory name in /proc/sys, so the kernel refuses it",
    "..": "is a directory name in /proc/sys, so the kernel refuses it",
}
_FORBIDDEN_IN_INTERFACE_NAMES = {
    "/": "the kernel allows no / in a name",
    ":": "the kernel allows no : in a name; eth0:1 is a label of an address",
    "%": "the kernel replaces % with a number",
    "+": "iptables reads + as a wildcard",
    "@": "ip prints @ and the parent after the name; they are not part of it",
}

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_TABLES_BY_NAME = {"unspec": 0, "default": 253, "main": 254, "local": 255}
#: Tables that hold no routes but the kernel's, with the reason.
KERNEL_TABLES = {0: "means no table to the kernel", 255: "is the table local, which the kernel maintains itself"}

_VLAN_ID_REMEDY = "Give the VLAN ID from 1 to 4094, as configured on the switch."
_MTU_REMEDY = "Give the MTU in bytes, or leave it out to use the parent's."


def is_unset(value: Any) -> bool:
    """Whether nothing was given: None, or ``""``, which is what Ansible makes of None for a ``str`` option."""
    return value is None or (isinstance(value, str) and not value.strip())


def printable(value: Any) -> str:
    """Return the value as a message can show it: short, printable, and quoted unless it is a plain word."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
        return ascii(value if len(value) <= _LONGEST_PRINTED else value[:_LONGEST_PRINTED] + "...")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a number of more than 64 bits"
    if isinstance(value, float):
        return repr(value)
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else "an unknown value"


def comma_separated(words: Iterable[str], limit: int = 4) -> str:
    """Return the words for a message, separated by commas; beyond the limit only how many more there are."""
    every = list(words)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def read_text(path: str, value: Any) -> str:
    """Return the value, which must be a string."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        raise InputError(path, f"{printable(value)} without quotes is not a string in YAML", "Put it in quotes.")
    raise InputError(path, f"{printable(value)} is not a string", "Give one string.")


def read_integer(path: str, value: Any, remedy: str) -> int:
    """Return an integer, given as one or as a string: decimal, or hexadecimal after ``0x``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value.strip(), 0)
    raise InputError(path, f"{printable(value)} is not a whole number (decimal, or hexadecimal after 0x)", remedy)


def read_bounded(path: str, value: Any, low: int, high: int, remedy: str) -> int:
    """Return an integer from ``low`` to ``high``."""
    number = read_integer(path, value, remedy)
    if not low <= number <= high:
        raise InputError(path, f"{printable(number)} is not between {low} and {high}", remedy)
    return number


def read_boolean(path: str, value: Any) -> bool:
    """Return a boolean, given as one or as a word or number that Ansible accepts as one."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else printable(value)
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise InputError(path, f"{printable(value)} is neither true nor false", "Give true or false, or leave it out.")


def read_choice(path: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return one of the choices."""
    if isinstance(value, str) and value in choices:
        return value
    remedy = f"Give one of {', '.join(choices)}."
    if value is False and "off" in choices:
        remedy = f'Put "off" in quotes: without them YAML reads a boolean. {remedy}'
    raise InputError(path, f"{printable(value)} is not one of the choices", remedy)


def structure_remedy(value: Any, otherwise: str) -> str:
    """Return what to do about a value that should be a list or mapping.

    :param otherwise: the remedy unless the value is text that looks like one.
    """
    return _STRUCTURE_REMEDY if isinstance(value, str) and _STRUCTURE.match(value) else otherwise


def read_entries(path: str, value: Any, limit: int | None = None) -> list[tuple[str, Any]]:
    """Return the items of a list of mappings, each with its path; they are not checked.

    :param limit: how many items are allowed; None allows any number.
    """
    if not isinstance(value, (list, tuple)):
        one = isinstance(value, Mapping)
        remedy = (
            "Give a list: put a dash before each entry, also before the only one."
            if one
            else "Give a list of mappings."
        )
        raise InputError(path, f"{printable(value)} is not a list", structure_remedy(value, remedy))
    return read_items(path, value, limit, skip_unset=False)


def read_items(path: str, value: Any, limit: int | None = None, *, skip_unset: bool = True) -> list[tuple[str, Any]]:
    """Return the items of a list, each with its path.

    A string is split at its commas, as Ansible does for a list option.

    :param limit: how many items are allowed, unset ones included; None allows any number.
    :param skip_unset: leave out unset items.
    """
    if is_unset(value):
        return []
    if isinstance(value, str) and _STRUCTURE.match(value):
        raise InputError(path, f"{printable(value)} is text, not a list", _STRUCTURE_REMEDY)
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise InputError(path, f"{printable(value)} is not a list", "Give a list, in brackets or with dashes.")
    if limit is not None and len(items) > limit:
        raise InputError(path, f"{len(items)} entries are more than the {limit} that are allowed", "Declare fewer.")
    return [(f"{path}[{index}]", item) for index, item in enumerate(items) if not (skip_unset and is_unset(item))]


def read_absolute_path(path: str, value: Any, remedy: str) -> str:
    """Return an absolute path: one line of printable characters that begins with ``/``."""
    name = read_text(path, value)
    if not name.startswith("/"):
        raise InputError(path, f"{printable(name)} does not begin with /, but the path must be absolute", remedy)
    if not name.isprintable() or len(name.encode()) > _LONGEST_PATH:
        raise InputError(path, f"{printable(name)} is not a valid path", remedy)
    return name


def read_pool_name(path: str, value: Any) -> str:
    """Return the name of a pool: up to 63 letters, digits, ``.``, ``_``, ``-``; the first a letter or digit."""
    name = read_text(path, value)
    if _POOL_NAME.fullmatch(name):
        return name
    raise InputError(
        path,
        f"{printable(name)} is not a valid pool name",
        "Use up to 63 letters, digits, dots, underscores and dashes, with a letter or digit first.",
    )


def read_interface_name(path: str, value: Any, *allowed: str) -> str:
    """Return the name of an interface that the kernel, iptables, a shell and /proc/sys read alike.

    The kernel's own rule (``dev_valid_name``) allows quotes, ``;`` and ``$``, which a shell would interpret in
    the commands that are printed for users to run. So only letters, digits, ``.``, ``_`` and ``-`` are accepted.

    :param allowed: reserved names that are accepted nevertheless: ``lo`` in a rule stands for the node itself.
    """
    name = read_text(path, value)
    reason = "" if name in allowed else _why_not_an_interface(name)
    if reason:
        long = len(name) > LONGEST_INTERFACE_NAME
        raise InputError(path, f"{printable(name)} {reason}", _LONG_NAME_REMEDY if long else _INTERFACE_REMEDY)
    return name


def _why_not_an_interface(name: str) -> str:
    if name in _RESERVED_INTERFACE_NAMES:
        return _RESERVED_INTERFACE_NAMES[name]
    if _INTERFACE_NAME.fullmatch(name):
        return ""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > LONGEST_INTERFACE_NAME:
        return f"has {size} bytes, but the kernel allows {LONGEST_INTERFACE_NAME}"
    for character, reason in _FORBIDDEN_IN_INTERFACE_NAMES.items():
        if character in name:
            return f"cannot be an interface name: {reason}"
    if any(character.isspace() for character in name):
        return "cannot be an interface name: the kernel allows no white space in it"
    if name.startswith("-"):
        return "cannot be used as an interface name: commands read a leading dash as an option"
    return "cannot be used as an interface name: only letters, digits, dots, underscores and dashes are safe in a shell"


def read_vlan_id(path: str, value: Any) -> int:
    """Return a VLAN ID (IEEE 802.1Q), 1-4094."""
    number = read_integer(path, value, _VLAN_ID_REMEDY)
    if 1 <= number <= 4094:
        return number
    if number == 0:
        raise InputError(path, "0 is for packets with a priority but no VLAN (IEEE 802.1Q)", _VLAN_ID_REMEDY)
    if number == 4095:
        raise InputError(path, "4095 is reserved by IEEE 802.1Q", _VLAN_ID_REMEDY)
    raise InputError(path, f"{printable(number)} is not between 1 and 4094", _VLAN_ID_REMEDY)


def read_mtu(path: str, value: Any, families: Iterable[str] = ()) -> int:
    """Return an MTU in bytes; 0 uses the parent's.

    :param families: address families that the link must carry, as keys of :data:`SMALLEST_MTU`.
    """
    mtu = read_bounded(path, value, 0, LARGEST_MTU, _MTU_REMEDY)
    for family in sorted(families):
        if 0 < mtu < SMALLEST_MTU[family]:
            problem = f"{mtu} is less than the {SMALLEST_MTU[family]} bytes that IPv{family[-1]} needs"
            raise InputError(path, problem, _MTU_REMEDY)
    return mtu


class TableUse(NamedTuple):
    """What a routing table is used for, which decides which tables are allowed.

    :param remedy: what to do if the table is refused.
    :param reserved: tables that are refused, with the reason: a clause that follows the number.
    """

    remedy: str
    reserved: Mapping[int, str]


def read_table(path: str, value: Any, use: TableUse) -> int:
    """Return the number of a routing table.

    Only names that the kernel defines are accepted: other names differ between nodes, and this runs before any node
    is read.
    """
    name = value.strip() if isinstance(value, str) else ""
    if _TABLE_NAME.fullmatch(name):
        if name not in _TABLES_BY_NAME:
            problem = f"the table name {printable(name)} is not accepted, because names differ between nodes"
            raise InputError(path, problem, f"Look up its number in rt_tables. {use.remedy}")
        value = _TABLES_BY_NAME[name]
    table = read_integer(path, value, use.remedy)
    if table in use.reserved:
        raise InputError(path, f"{table} {use.reserved[table]}", use.remedy)
    return read_bounded(path, table, 1, LARGEST_TABLE, use.remedy)


def read_mark(path: str, value: Any, mark_mask: int) -> int:
    """Return a mark that lies within the mask; if the mask is not known (0), one of 32 bits."""
    mask = mark_mask or LARGEST_MARK
    step = mask & -mask
    remedy = f"Give a multiple of {step:#x} up to {mask:#x}, or leave mark out to have one chosen."
    mark = read_bounded(path, value, 0, LARGEST_MARK, remedy)
    if mark == 0:
        raise InputError(path, "0 is the mark of unmarked packets", remedy)
    if mark & ~mask:
        raise InputError(path, f"{mark:#x} has bits outside mark_mask ({mask:#x})", remedy)
    return mark


def read_fwmark(path: str, value: Any) -> tuple[int, int]:
    """Return value and mask of ``value/mask``; without a mask the whole mark is compared, as ``ip rule`` does."""
    remedy = "Give value/mask, as in 0x100/0x1f00, with the value inside the mask."
    text = value if isinstance(value, str) else printable(read_integer(path, value, remedy))
    mark_text, slash, mask_text = text.partition("/")
    mark = read_bounded(path, mark_text, 0, LARGEST_MARK, remedy)
    mask = read_bounded(path, mask_text, 1, LARGEST_MARK, remedy) if slash else LARGEST_MARK
    if mark & ~mask:
        raise InputError(path, f"{printable(text)} has bits outside its mask, so it can never match", remedy)
    return mark, mask
