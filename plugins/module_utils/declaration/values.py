# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads single values: what Ansible hands over may be unset, of another type, or nonsense.

Every reader takes the input's path first and raises :class:`InputError` with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InputError
from .problems import Problems

# A number with a leading zero is octal to YAML 1.1 and decimal to Python, so it is no number here.
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19})")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@%+-]{1,64}")
LARGEST_MARK = 0xFFFFFFFF
LARGEST_TABLE = 0xFFFFFFFF

_LONGEST_SHOWN = 64
_LONGEST_PATH = 4095  # bytes: PATH_MAX - 1, include/uapi/linux/limits.h

# What Ansible itself takes for a boolean.
_TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE = frozenset({"n", "no", "off", "0", "false", "f"})


def is_unset(value: Any) -> bool:
    """Whether nothing was given: None, or ``""``, which is what Ansible makes of None for a ``str`` option."""
    return value is None or (isinstance(value, str) and not value.strip())


def shown(value: Any) -> str:
    """Return the value as it may stand in a message: short, printable, and quoted where it is not plain."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
        return ascii(value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "...")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a number of more than 64 bits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else "something else"


def listed(words: Iterable[str], limit: int = 4) -> str:
    """Return the words for a message, separated by commas; beyond the limit only how many more there are."""
    every = list(words)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def read_text(path: str, value: Any) -> str:
    """Return the value, which must be text."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        raise InputError(path, f"{shown(value)} without quotes is no text to YAML", "Put it in quotes.")
    raise InputError(path, f"{shown(value)} stands where text belongs", "Give one piece of text.")


def read_integer(path: str, value: Any, remedy: str) -> int:
    """Return a whole number, given as one or as text, decimal or hexadecimal after ``0x``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value.strip(), 0)
    raise InputError(path, f"{shown(value)} is not a whole number (decimal, or hexadecimal after 0x)", remedy)


def read_absolute_path(path: str, value: Any, remedy: str) -> str:
    """Return the path of a folder, from ``/`` on and in one line of printable letters."""
    folder = read_text(path, value)
    if not folder.startswith("/"):
        raise InputError(
            path, f"{shown(folder)} does not begin with /, so it would depend on where the program runs", remedy
        )
    if not folder.isprintable() or len(folder.encode()) > _LONGEST_PATH:
        raise InputError(path, f"{shown(folder)} is no path that a file can have", remedy)
    return folder


def read_bounded(path: str, value: Any, low: int, high: int, remedy: str) -> int:
    """Return a whole number from ``low`` to ``high``."""
    number = read_integer(path, value, remedy)
    if not low <= number <= high:
        raise InputError(path, f"{shown(number)} is not between {low} and {high}", remedy)
    return number


def read_boolean(path: str, value: Any) -> bool:
    """Return a boolean, given as one or as a word or number that Ansible takes for one."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else shown(value)
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise InputError(path, f"{shown(value)} is neither true nor false", "Give true or false, or leave it out.")


def read_choice(path: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return one of the choices."""
    if isinstance(value, str) and value in choices:
        return value
    remedy = f"Give one of {', '.join(choices)}."
    if value is False and "off" in choices:
        remedy = f'Put "off" in quotes: without them YAML reads a boolean. {remedy}'
    raise InputError(path, f"{shown(value)} is not one of the choices", remedy)


def read_items(path: str, value: Any, limit: int) -> list[tuple[str, Any]]:
    """Return the items of a list, each with its path; what is unset is left out but counted.

    Text is split at its commas, as Ansible does for a list option.
    """
    if is_unset(value):
        return []
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise InputError(
            path, f"{shown(value)} stands where a list belongs", "Give a list, in brackets or with dashes."
        )
    if len(items) > limit:
        raise InputError(path, f"{len(items)} entries are more than the {limit} that are allowed", "Declare fewer.")
    return [(f"{path}[{index}]", item) for index, item in enumerate(items) if not is_unset(item)]


def read_mapping(problems: Problems, path: str, value: Any, options: frozenset[str]) -> Mapping[str, Any]:
    """Return a mapping of options; each unknown option is noted as a problem of its own."""
    if not isinstance(value, Mapping):
        raise InputError(
            path, f"{shown(value)} stands where a mapping belongs", f"Give a mapping with {', '.join(sorted(options))}."
        )
    if not options.issuperset(value):
        for name in value:
            if name not in options:
                _note_unknown(problems, path, name, options)
    return value


def _note_unknown(problems: Problems, path: str, name: Any, options: frozenset[str]) -> None:
    meant = [option for option in (f"{name}s", f"{name}es") if isinstance(name, str) and option in options]
    remedy = f"Write {meant[0]}, a list." if meant else f"The options are {', '.join(sorted(options))}."
    problems.add(f"{path}.{shown(name)}", "there is no such option", remedy)


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


_POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_INTERFACE_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]{0,14}")

#: ``IFNAMSIZ`` of the kernel less the final zero, in bytes.
LONGEST_INTERFACE_NAME = 15

_INTERFACE_REMEDY = "Give the name as `ip -brief link` shows it, without @ and what follows."

_TAKEN_INTERFACE_NAMES = {
    "lo": "is the loopback device, which no packet reaches from outside",
    "all": "is what net/ipv4/conf calls all interfaces together",
    "default": "is what net/ipv4/conf calls interfaces that are yet to come",
    ".": "is a folder's name under /proc/sys, so the kernel refuses it",
    "..": "is a folder's name under /proc/sys, so the kernel refuses it",
}

_FORBIDDEN_IN_INTERFACE_NAMES = {
    "/": "the kernel allows no / in a name",
    ":": "the kernel allows no : in a name; eth0:1 is a label of an address, not an interface",
    "%": "the kernel would put a number in the place of %",
    "+": "iptables takes + for any ending of a name",
    "@": "@ and the parent after it are only shown by ip, they are not of the name",
}


def read_pool_name(path: str, value: Any) -> str:
    """Return the name of a pool: up to 63 letters, digits, ``.``, ``_``, ``-``; the first a letter or digit."""
    name = read_text(path, value)
    if _POOL_NAME.fullmatch(name):
        return name
    raise InputError(
        path,
        f"{shown(name)} is not a pool's name, which is a word, as in MetalLB's IPAddressPool",
        "Take up to 63 letters, digits, dots, underscores and dashes, a letter or digit first.",
    )


def read_interface_name(path: str, value: Any) -> str:
    """Return the name of an interface that the kernel, iptables, a shell and /proc/sys take alike.

    The kernel's own rule (``dev_valid_name``) would let quotes, ``;`` or ``$`` pass; the commands that we print for
    people to type would then do something else in a shell. So only letters, digits, ``.``, ``_`` and ``-`` are taken.
    """
    name = read_text(path, value)
    reason = _interface_name_flaw(name)
    if reason:
        raise InputError(path, f"{shown(name)} {reason}", _INTERFACE_REMEDY)
    return name


def _interface_name_flaw(name: str) -> str:
    if name in _TAKEN_INTERFACE_NAMES:
        return _TAKEN_INTERFACE_NAMES[name]
    if _INTERFACE_NAME.fullmatch(name):
        return ""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > LONGEST_INTERFACE_NAME:
        return f"has {size} bytes, but the kernel allows {LONGEST_INTERFACE_NAME}"
    for character, reason in _FORBIDDEN_IN_INTERFACE_NAMES.items():
        if character in name:
            return f"cannot be an interface: {reason}"
    if any(character.isspace() for character in name):
        return "cannot be an interface: the kernel allows no white space in a name"
    if name.startswith("-"):
        return "cannot be an interface here: programs take a leading dash for an option"
    return "cannot be an interface here: only letters, digits, dots, underscores and dashes mean nothing to a shell"
