# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the variables of the hosts say before a play: which nodes have to be asked for their addresses, and which have pools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import (
    FAMILIES,
    everything,
    family_of,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import (
    Reader,
    from_inventory,
    missing_families,
)
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.declared_pools import POOL_VARIABLES

_CLUSTER = "metallb_routing_cluster"


def silent_nodes(hosts: Sequence[str], reader: Reader, play_variables: Mapping[str, Any]) -> list[str]:
    """Return the hosts of which the inventory contains no address, or none of a family that pools have.

    Nothing is missing where the variables declare the addresses of all nodes.

    :param play_variables: variables of the play, which the variables of hosts do not contain.
    """
    if _declares_addresses(play_variables.get(_CLUSTER)) or all(_host_declares(host, reader) for host in hosts):
        return []
    families = _pool_families(hosts, reader, play_variables)
    sources, _warnings = from_inventory(hosts, reader)
    return [
        host
        for host in hosts
        if not sources[host] or any(family in families for family in missing_families(sources[host]))
    ]


def with_pools_first(hosts: Sequence[str], reader: Reader, play_variables: Mapping[str, Any]) -> list[str]:
    """Return the hosts in their order, but those that declare pools before those that do not.

    So the first batch of a run changes something.

    :raises InputError: no host declares pools.
    """
    if any(_declares(play_variables.get(name)) for name in POOL_VARIABLES):
        return list(hosts)
    declaring = {host for host in hosts if any(_declares(_value(reader, host, name)) for name in POOL_VARIABLES)}
    if not declaring:
        number = len(hosts)
        raise InputError(
            "metallb_routing_pools",
            f"no pool is declared for any of the {number} hosts"
            if number > 1
            else f"no pool is declared for {hosts[0]}",
            "Declare the pools in group variables of the nodes, for example in group_vars/all/metallb_routing.yml next to the"
            " inventory. Ansible reads group_vars/NAME only if the inventory has a group NAME. To remove the configuration, run"
            " homeward.metallb_routing.remove.",
        )
    return [host for host in hosts if host in declaring] + [host for host in hosts if host not in declaring]


def _declares(pools: Any) -> bool:
    """Whether these are pools, or something invalid, which the run for the host reports."""
    return not is_unset(pools) and pools not in ([], ())


def _value(reader: Reader, host: str, name: str) -> Any:
    raw = reader.raw(host, name)
    if not isinstance(raw, str) or "{" not in raw:
        return raw
    try:
        return reader.get(host, name)
    except Exception:  # noqa: BLE001 - the run for the host reports what is wrong with its variables
        return raw


def _host_declares(host: str, reader: Reader) -> bool:
    raw = reader.raw(host, _CLUSTER)
    return _declares_addresses(raw if isinstance(raw, Mapping) else _evaluated(reader, host, _CLUSTER))


def _declares_addresses(cluster: Any) -> bool:
    return isinstance(cluster, Mapping) and not is_unset(cluster.get("node_addresses"))


def _pool_families(hosts: Iterable[str], reader: Reader, play_variables: Mapping[str, Any]) -> set[str]:
    """Return the families of the hosts' pools. Hosts of a group share most values, so each value is read once."""
    families = {family_of(network) for name in POOL_VARIABLES for network in _networks(play_variables.get(name))}
    read: dict[int, Any] = {}  # the value, too: its id must not be given to another one
    for host in hosts:
        for name in POOL_VARIABLES:
            value = reader.raw(host, name)
            if not value or id(value) in read:
                continue
            read[id(value)] = value
            networks = list(_networks(value))
            if isinstance(value, str) or any("{" in network for network in networks):
                networks = list(_networks(_evaluated(reader, host, name)))
            families.update(map(family_of, networks))
        if len(families) == 2:
            break
    return families


def _networks(pools: Any) -> Iterator[str]:
    """Yield the networks of the pools; what is invalid is left to the check of the pools."""
    for pool in pools if isinstance(pools, (list, tuple)) else ():
        networks = pool.get("networks") if isinstance(pool, Mapping) else ()
        if networks is None:  # they come from MetalLB, which may not have been asked yet
            yield from map(everything, FAMILIES)
        for network in [networks] if isinstance(networks, str) else networks if isinstance(networks, list) else ():
            if isinstance(network, str):
                yield from network.split(",")


def _evaluated(reader: Reader, host: str, name: str) -> Any:
    try:
        return reader.get(host, name)
    except Exception:  # noqa: BLE001 - the run for the host reports what is wrong with its variables
        return None
