# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what Ansible hands over to a declaration that can be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .argument_spec import STATES
from .cluster import read_cluster
from .model import MAX_POOLS, Declaration, Settings
from .pool_checks import check_pool
from .pool_conflicts import (
    check_deny,
    check_interfaces,
    check_limits,
    check_marks,
    check_names,
    check_pool_networks,
    check_tables,
    check_vlans,
)
from .pools import PoolInput, read_pool
from .problems import Problems
from .settings import read_settings
from .values import is_unset, read_choice, read_items, shown


def parse_declaration(parameters: Mapping[str, Any]) -> Declaration:
    """Return the declaration that the parameters of a module describe.

    :param parameters: as ``AnsibleModule.params`` has them, see :func:`argument_spec`; None and ``""`` are unset.
        Parameters that are not of a declaration are not looked at. ``state: absent`` lets ``pools`` be empty.
    :raises InputErrors: everything that is wrong, as far as it can be known at once, in the order settings, cluster,
        pools, and what contradicts between pools.
    """
    problems = Problems()
    given: Any = parameters
    if not isinstance(given, Mapping):
        problems.add("parameters", f"{shown(given)} stands where a mapping belongs", "Give pools and cluster.")
        problems.raise_all()
    settings = read_settings(problems, parameters)
    mark_mask = 0 if problems.concern("mark_mask") else settings.mark_mask
    cluster, protected = read_cluster(problems, parameters.get("cluster"))
    entries = _read_pools(problems, parameters, mark_mask)
    check_names(problems, entries)
    check_limits(problems, entries)
    check_pool_networks(problems, entries, protected)
    check_deny(problems, entries)
    check_interfaces(problems, entries)
    check_vlans(problems, entries)
    check_tables(problems, entries)
    check_marks(problems, entries, mark_mask)
    problems.raise_all()
    return Declaration(pools=tuple(entry.pool for entry in entries), cluster=cluster, settings=settings)


def parse_settings(parameters: Mapping[str, Any]) -> Settings:
    """Return the settings alone, for a removal: it does not depend on pools and cluster.

    :raises InputErrors: everything that is wrong with the settings.
    """
    problems = Problems()
    settings = read_settings(problems, parameters)
    problems.raise_all()
    return settings


def _read_pools(problems: Problems, parameters: Mapping[str, Any], mark_mask: int) -> list[PoolInput]:
    state = parameters.get("state")
    if not is_unset(state):
        state = problems.attempt("present", read_choice, "state", state, STATES)
    before = len(problems)
    nothing: list[tuple[str, Any]] = []
    items = problems.attempt(nothing, read_items, "pools", parameters.get("pools"), MAX_POOLS)
    if not items and state != "absent" and len(problems) == before:
        problems.add(
            "pools",
            "there are none, but state is present, and an empty list may be a variable that was not set",
            "Declare at least one, or take everything away with state: absent (the playbook remove).",
        )
    entries = []
    for path, item in items:
        entry = read_pool(problems, path, item, mark_mask)
        if entry is not None:
            check_pool(problems, entry)
            entries.append(entry)
    return entries
