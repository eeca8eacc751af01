# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of the inventory are the nodes of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset, printable
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError

_VARIABLE = "metallb_routing_hosts"
#: Groups of the tools that set up clusters, in the order of preference. Kubespray declares only the last two since v2.27.
_GROUPS = (("k8s_cluster",), ("k3s_cluster",), ("kube_control_plane", "kube_node"))


def default_groups(groups: Iterable[str]) -> list[str]:
    """Return the groups that contain the nodes of the cluster; none if the inventory has no group that is known."""
    return next((list(names) for names in _GROUPS if set(names) <= set(groups)), [])


def resolve(pattern: Any, groups: Mapping[str, Sequence[str]], default: Sequence[str]) -> list[str]:
    """Return the names of the hosts, whatever ``--limit`` says.

    :param pattern: a pattern of Ansible or a list of them; if it is not set, the default groups.
    :param default: the hosts if there is no such group either.
    :raises InputError: it is not a pattern, or matches no host.
    """
    if is_unset(pattern) or pattern == []:
        pattern = default_groups(groups)
        if not pattern:
            return list(default)
    patterns = [pattern] if isinstance(pattern, str) else pattern
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(item, str) for item in patterns):
        raise InputError(_VARIABLE, f"{printable(pattern)} is not a pattern of hosts", "Give a group or a pattern.")
    if all(item in groups for item in patterns):
        found = list(dict.fromkeys(host for item in patterns for host in groups[item]))
    else:
        found = _matching(list(patterns), groups)
    if not found:
        what = " and ".join(map(printable, patterns))
        raise InputError(_VARIABLE, f"{what} matches no host of the inventory", "Name a group that contains all nodes.")
    return found


def _matching(patterns: list[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the hosts that match, as Ansible finds them."""
    manager = InventoryManager(DataLoader(), parse=False)
    for group, hosts in groups.items():
        manager.add_group(group)
        for host in hosts:
            manager.add_host(host, group=group)
    try:
        return [host.name for host in manager.get_hosts(pattern=patterns)]
    except AnsibleError:
        return []
