# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the parameters of a module into a valid declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cluster import read_cluster
from .model import MAX_POOLS, STATES, Declaration, Settings
from .option_reader import ErrorCollector, OptionReader
from .pool_checks import check_pool
from .pool_conflicts import check_pools
from .pools import PoolInput, read_pool
from .settings import read_settings
from .values import printable, read_choice, read_entries


def parse_declaration(parameters: Mapping[str, Any]) -> Declaration:
    """Return the declaration that the parameters of a module describe.

    :param parameters: as in ``AnsibleModule.params``, see :func:`argument_spec`; None and ``""`` are unset. Parameters
        that do not belong to a declaration are ignored. For ``state: absent``, see :func:`parse_settings`.
    :raises InputErrors: all errors that can be found in one run, in the order settings, cluster, pools, and conflicts
        between pools.
    """
    errors = ErrorCollector()
    given: Any = parameters
    if not isinstance(given, Mapping):
        errors.add("parameters", f"{printable(given)} is not a mapping", "Give pools and cluster.")
        errors.raise_if_any()
    settings = read_settings(errors, parameters)
    mark_mask = 0 if errors.has("mark_mask") else settings.mark_mask
    cluster, protected = read_cluster(errors, parameters.get("cluster"))
    entries = _read_pools(errors, parameters, mark_mask)
    check_pools(errors, entries, protected, mark_mask)
    errors.raise_if_any()
    return Declaration(pools=tuple(entry.pool for entry in entries), cluster=cluster, settings=settings)


def parse_settings(parameters: Mapping[str, Any]) -> Settings:
    """Return the settings alone, for a removal: it does not depend on pools and cluster.

    :raises InputErrors: everything that is wrong with the settings.
    """
    errors = ErrorCollector()
    settings = read_settings(errors, parameters)
    errors.raise_if_any()
    return settings


def _read_pools(errors: ErrorCollector, parameters: Mapping[str, Any], mark_mask: int) -> list[PoolInput]:
    options = OptionReader(errors, "", parameters)
    options.read("state", STATES[0], read_choice, STATES)
    nothing: list[tuple[str, Any]] = []
    items = options.read("pools", nothing, read_entries, MAX_POOLS)
    if not items and options.is_valid("pools"):
        problem = "the list is empty, but state is present; perhaps a variable is not set"
        remedy = (
            "Declare at least one pool (metallb_routing_pools, or CASE_pools of the role for a case), or remove everything with"
            " state: absent (the playbook remove)."
        )
        errors.add("pools", problem, remedy)
    entries = []
    for path, item in items:
        entry = read_pool(errors, path, item, mark_mask)
        if entry is not None:
            check_pool(errors, entry)
            entries.append(entry)
    return entries
