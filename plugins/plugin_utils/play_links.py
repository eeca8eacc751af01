# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link of each pool on each host of a play, before the hosts are configured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.declared_pools import POOL_VARIABLES, join_pools
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_labels import Links
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.play_metallb import PlayMetallb


def play_links(
    hosts: Iterable[str], reader: Reader, play_variables: Mapping[str, Any], metallb: PlayMetallb
) -> tuple[dict[str, Links], list[str], list[str]]:
    """Return the links by host, the errors of hosts that are left out, and the warnings.

    :param play_variables: values of the pool variables in the play, which the variables of hosts may not contain.
    """
    links: dict[str, Links] = {}
    problems: dict[str, None] = {}
    warnings: dict[str, None] = {}
    for host in hosts:
        try:
            joined = metallb.join(join_pools(_pools(host, reader, play_variables))[0], host)
        except InputError as error:
            problems[str(error)] = None
            continue
        warnings.update(dict.fromkeys(joined.warnings))
        links[host] = {
            str(pool["name"]): str(pool["interface"])
            for pool in joined.pools
            if isinstance(pool, Mapping) and pool.get("name") and pool.get("interface")
        }
    return links, list(problems), list(warnings)


def _pools(host: str, reader: Reader, play_variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the pool variables; a template that cannot be evaluated is left to the run for the host."""
    found = {}
    for name in POOL_VARIABLES:
        try:
            value = reader.get(host, name)
        except Exception as error:
            raise InputError(name, f"it cannot be evaluated for {host}: {error}", "Correct the template.") from error
        found[name] = play_variables.get(name) if value is None else value
    return found
