# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers that are ours on a node: mark bits, rule priorities, tables, and the protocol that marks ownership."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from ..errors import InputError
from .model import MAX_POOLS, VARIANTS, Settings
from .ownership import read_protocol
from .problems import Problems
from .values import (
    LARGEST_MARK,
    LARGEST_TABLE,
    is_unset,
    read_absolute_path,
    read_bounded,
    read_choice,
    read_integer,
    shown,
)

#: Bits 14 and 15: "drop this" and "masquerade this".
KUBE_PROXY_BITS = 0xC000

_MARK_MASK_REMEDY = "Take one run of bits that nothing else on the nodes uses, as in 0x1f00 (bits 8 to 12)."

_LOWEST_PRIORITY = 2000
#: A rule made without a priority gets 32000 or less, so our 1,000 end before that.
HIGHEST_PRIORITY = 31000


def read_settings(problems: Problems, parameters: Mapping[str, Any]) -> Settings:
    """Return the settings; what is unset or cannot be right has its default."""
    defaults = Settings()

    def setting(name: str, default: Any, read: Callable[..., Any], *arguments: Any) -> Any:
        value = parameters.get(name)
        return default if is_unset(value) else problems.attempt(default, read, name, value, *arguments)

    return Settings(
        mark_mask=setting("mark_mask", defaults.mark_mask, _read_mark_mask),
        priority_base=setting("priority_base", defaults.priority_base, _read_priority_base),
        table_base=setting("table_base", defaults.table_base, _read_table_base),
        protocol=setting("protocol", defaults.protocol, read_protocol, defaults.protocol),
        iptables_variant=setting("iptables_variant", defaults.iptables_variant, read_choice, VARIANTS),
    )


def _read_mark_mask(path: str, value: Any) -> int:
    mask = read_bounded(path, value, 1, LARGEST_MARK, _MARK_MASK_REMEDY)
    lowest = mask & -mask
    run = mask // lowest
    if run & (run + 1):
        raise InputError(
            path,
            f"{mask:#x} has gaps, but marks are counted up from its lowest bit to its highest",
            _MARK_MASK_REMEDY,
        )
    if mask & KUBE_PROXY_BITS:
        raise InputError(
            path,
            f"{mask:#x} holds {mask & KUBE_PROXY_BITS:#x}, kube-proxy's marks for packets to masquerade or drop",
            _MARK_MASK_REMEDY,
        )
    return mask


def _read_priority_base(path: str, value: Any) -> int:
    remedy = f"Take a number from {_LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, or leave it out for {_LOWEST_PRIORITY}."
    base = read_integer(path, value, remedy)
    if base <= 0:
        reason = "is not above 0, where the kernel's rule for local addresses stands"
    elif base <= 1000:
        reason = "comes at or before 1000, where VRFs (l3mdev), Calico (99) and Cilium (9-111) have their rules"
    elif base < _LOWEST_PRIORITY:
        reason = "comes before 2000, where AWS (512-1536) and Cilium's moved rule for local addresses may stand"
    elif base > HIGHEST_PRIORITY:
        reason = "leaves no 1,000 priorities before 32000, where rules stand that were made without one"
    else:
        return base
    raise InputError(path, f"{shown(base)} {reason}", remedy)


def _read_table_base(path: str, value: Any) -> int:
    remedy = "Take a number well away from the tables in use, or leave it out for 7701."
    # From below 256 a count upwards would meet default, main and local, and at the end there must be room for all.
    return read_bounded(path, value, 256, LARGEST_TABLE - MAX_POOLS, remedy)


_PATHS = {
    "metrics_directory": "Give the whole path of the directory that node_exporter reads.",
    "pyroute2_path": "Give the whole path of a directory on the node, or leave it out.",
}
LONGEST_TIMEOUT = 3600  # seconds; a node that is cut off for longer has been missed by somebody


def check_keeping(parameters: Mapping[str, Any]) -> None:
    """Refuse a time to confirm or a path that cannot be meant.

    :param parameters: as ``AnsibleModule.params`` has them.
    :raises InputErrors: with everything that is wrong.
    """
    problems = Problems()
    seconds = parameters.get("confirm_timeout")
    if not is_unset(seconds):
        remedy = "Give seconds to wait for a new connection, 60 for instance, or 0 to wait for none."
        problems.attempt(0, read_bounded, "confirm_timeout", seconds, 0, LONGEST_TIMEOUT, remedy)
    for name, remedy in _PATHS.items():
        path = parameters.get(name)
        if not is_unset(path):
            problems.attempt("", read_absolute_path, name, path, remedy)
    problems.raise_all()
