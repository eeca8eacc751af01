# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of pools and of interfaces."""

from __future__ import annotations

import re
from typing import Any

from ..errors import InputError
from .values import read_text, shown

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
