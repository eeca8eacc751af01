# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the options other than ``pools`` and ``cluster``: identifiers on the node, and how a change is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from .model import MAX_POOLS, VARIANTS, Settings
from .option_reader import ErrorCollector, OptionReader
from .ownership import read_protocol
from .values import (
    LARGEST_MARK,
    LARGEST_TABLE,
    printable,
    read_absolute_path,
    read_bounded,
    read_choice,
    read_integer,
)

#: Bits 14 and 15: "drop this" and "masquerade this".
KUBE_PROXY_BITS = 0xC000

_MARK_MASK_REMEDY = "Use one run of adjacent bits that nothing else on the nodes uses, as in 0x1f00 (bits 8 to 12)."

_LOWEST_PRIORITY = 2000
#: The kernel gives a rule without a priority 32000 or less, so the 1,000 priorities end before that.
HIGHEST_PRIORITY = 31000

_LONGEST_TIMEOUT = 3600  # seconds


def read_settings(errors: ErrorCollector, parameters: Mapping[str, Any]) -> Settings:
    """Return the settings; what is unset or invalid has its default."""
    defaults = Settings()
    options = OptionReader(errors, "", parameters)
    return Settings(
        mark_mask=options.read("mark_mask", defaults.mark_mask, _read_mark_mask),
        priority_base=options.read("priority_base", defaults.priority_base, _read_priority_base),
        table_base=options.read("table_base", defaults.table_base, _read_table_base),
        protocol=options.read("protocol", defaults.protocol, read_protocol, defaults.protocol),
        iptables_variant=options.read("iptables_variant", defaults.iptables_variant, read_choice, VARIANTS),
    )


def check_run_options(parameters: Mapping[str, Any]) -> None:
    """Refuse an invalid timeout or path among the options that say how a change is made.

    :param parameters: as ``AnsibleModule.params`` has them.
    :raises InputErrors: with all errors.
    """
    errors = ErrorCollector()
    options = OptionReader(errors, "", parameters)
    seconds = "Give the seconds to wait for a new connection, for example 60, or 0 not to wait."
    options.read("confirm_timeout", 0, read_bounded, 0, _LONGEST_TIMEOUT, seconds)
    metrics = "Give the absolute path of the directory that node_exporter reads."
    options.read("metrics_directory", "", read_absolute_path, metrics)
    pyroute2 = "Give the absolute path of a directory on the node, or leave it out."
    options.read("pyroute2_path", "", read_absolute_path, pyroute2)
    errors.raise_if_any()


def _read_mark_mask(path: str, value: Any) -> int:
    mask = read_bounded(path, value, 1, LARGEST_MARK, _MARK_MASK_REMEDY)
    lowest = mask & -mask
    run = mask // lowest
    if run & (run + 1):
        problem = f"{mask:#x} has gaps, but marks are counted up from its lowest bit to its highest"
        raise InputError(path, problem, _MARK_MASK_REMEDY)
    if mask & KUBE_PROXY_BITS:
        problem = f"{mask:#x} contains {mask & KUBE_PROXY_BITS:#x}, which kube-proxy uses to masquerade or drop packets"
        raise InputError(path, problem, _MARK_MASK_REMEDY)
    return mask


def _read_priority_base(path: str, value: Any) -> int:
    remedy = f"Use a number from {_LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, or leave it out for {_LOWEST_PRIORITY}."
    base = read_integer(path, value, remedy)
    if base <= 0:
        reason = "is not above 0, the priority of the kernel's rule for the local table"
    elif base <= 1000:
        reason = "is at or before 1000, where VRFs (l3mdev), Calico (99) and Cilium (9-111) have their rules"
    elif base < _LOWEST_PRIORITY:
        reason = "is before 2000, where AWS (512-1536) and Cilium's moved rule for the local table may be"
    elif base > HIGHEST_PRIORITY:
        reason = "leaves no 1,000 priorities before 32000, where the kernel puts rules without a priority"
    else:
        return base
    raise InputError(path, f"{printable(base)} {reason}", remedy)


def _read_table_base(path: str, value: Any) -> int:
    remedy = "Use a number far from the tables in use, or leave it out for 7701."
    # Counted up from below 256, tables would reach default, main and local; at the end there must be room for all.
    return read_bounded(path, value, 256, LARGEST_TABLE - MAX_POOLS, remedy)
