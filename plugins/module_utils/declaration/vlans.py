# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``vlan`` option of a pool."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..state.family import IPV6
from .argument_spec import vlan_options
from .model import Vlan
from .names import read_interface_name
from .problems import Problems
from .values import is_unset, read_bounded, read_integer, read_mapping, shown

_OPTIONS = frozenset(vlan_options())

_ID_REMEDY = "Give the VLAN's id from 1 to 4094, as the switch has it."
_MTU_REMEDY = "Give the MTU in bytes, or leave it out for the parent's."

#: The least that IPv4 (RFC 791) and IPv6 (RFC 8200) need, and the most that a VLAN link takes.
SMALLEST_MTU = 68
SMALLEST_MTU_IPV6 = 1280
LARGEST_MTU = 65535

_LEAVE_OUT = "leave vlan out where something else makes the link"


def read_vlan(problems: Problems, path: str, value: Any, interface: str, families: set[str]) -> Vlan | None:
    """Return the VLAN, or None where none is declared or it cannot be right.

    :param interface: the pool's, ``""`` where that is not known.
    :param families: those of the pool's networks.
    """
    if is_unset(value):
        return None
    before = len(problems)
    options = problems.attempt(None, read_mapping, problems, path, value, _OPTIONS)
    if options is None:
        return None
    parent = problems.attempt("", _read_parent, f"{path}.parent", options.get("parent"), interface)
    number = problems.attempt(0, _read_id, f"{path}.id", options.get("id"))
    mtu = problems.attempt(0, _read_mtu, f"{path}.mtu", options.get("mtu"), families)
    return Vlan(parent=parent, id=number, mtu=mtu) if len(problems) == before else None


def _read_parent(path: str, value: Any, interface: str) -> str:
    if is_unset(value):
        raise InputError(path, "the link below the VLAN is missing", f"Give its name, or {_LEAVE_OUT}.")
    parent = read_interface_name(path, value)
    if parent == interface:
        problem = f"{parent} is the pool's own interface, and a link cannot be below itself"
        raise InputError(path, problem, f"Give the link that carries the tagged packets, or {_LEAVE_OUT}.")
    return parent


def _read_id(path: str, value: Any) -> int:
    if is_unset(value):
        raise InputError(path, "the VLAN's id is missing", f"{_ID_REMEDY} Or {_LEAVE_OUT}.")
    number = read_integer(path, value, _ID_REMEDY)
    if number == 0:
        raise InputError(path, "0 marks packets that have a priority but no VLAN (IEEE 802.1Q)", _ID_REMEDY)
    if number == 4095:
        raise InputError(path, "4095 is reserved by IEEE 802.1Q", _ID_REMEDY)
    if not 1 <= number <= 4094:
        raise InputError(path, f"{shown(number)} is not between 1 and 4094", _ID_REMEDY)
    return number


def _read_mtu(path: str, value: Any, families: set[str]) -> int:
    if is_unset(value):
        return 0
    mtu = read_bounded(path, value, 0, LARGEST_MTU, _MTU_REMEDY)
    if 0 < mtu < SMALLEST_MTU:
        raise InputError(path, f"{mtu} is less than the {SMALLEST_MTU} bytes that IPv4 needs", _MTU_REMEDY)
    if 0 < mtu < SMALLEST_MTU_IPV6 and IPV6 in families:
        problem = f"{mtu} is less than {SMALLEST_MTU_IPV6} bytes, below which IPv6 is off, and the pool has IPv6"
        raise InputError(path, problem, _MTU_REMEDY)
    return mtu
