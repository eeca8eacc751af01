# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of the inventory are the nodes of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import is_unset, printable
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.matching_hosts import Groups, matching

_VARIABLE = "metallb_routing_hosts"
#: The group of all nodes in Kubespray, and its children. Since v2.27 Kubespray's sample inventory declares only the children,
#: and its playbooks create the group when they run (roles/dynamic_groups), for the hosts of the run.
WHOLE = "k8s_cluster"
CHILDREN = ("kube_control_plane", "kube_node", "calico_rr")
#: Groups of the tools that set up clusters, in the order of preference. lablabs.rke2 has k8s_cluster, too.
_GROUPS = ((WHOLE,), CHILDREN, ("k3s_cluster",), ("rke2_cluster",), ("rke2_servers", "rke2_agents"))


def default_groups(groups: Groups) -> list[str]:
    """Return the groups that contain the nodes of the cluster; none if no group with hosts is known."""
    for names in _GROUPS:
        found = [name for name in names if groups.get(name)]
        if found == [WHOLE] and is_incomplete(groups):
            return [WHOLE, *_children(groups)]
        if found:
            return found
    return []


def is_incomplete(groups: Groups) -> bool:
    """Whether the inventory has nodes of Kubespray outside the group of all nodes, or no such group."""
    return bool(_children(groups)) and not set(_of_children(groups)) <= set(groups.get(WHOLE, ()))


def resolve(pattern: Any, groups: Groups, default: Sequence[str], limit: str = "") -> list[str]:
    """Return the names of the hosts.

    :param pattern: a pattern of Ansible or a list of them; if it is not set, the default groups.
    :param default: the hosts if there is no such group either.
    :param limit: the value of ``--limit``, to which the hosts are restricted.
    :raises InputError: it is not a pattern, or matches no host.
    """
    patterns = given_patterns(pattern) or default_groups(groups)
    if not patterns:
        found = list(default)
        if limit and found:
            found = matching(found, groups, limit)
        _require_hosts(found, patterns, limit)
        return found
    known = {**groups, WHOLE: [*groups.get(WHOLE, ()), *_of_children(groups)]} if _children(groups) else groups
    if not limit and all(item in known for item in patterns):
        found = list(dict.fromkeys(host for item in patterns for host in known[item]))
    else:
        found = matching(patterns, known, limit)
    _require_hosts(found, patterns, limit)
    return found


def given_patterns(pattern: Any) -> list[str]:
    """Return the patterns of the user; none if the variable is not set.

    :raises InputError: it is not a pattern.
    """
    if is_unset(pattern) or pattern == []:
        return []
    patterns = [pattern] if isinstance(pattern, str) else pattern
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(item, str) for item in patterns):
        raise InputError(_VARIABLE, f"{printable(pattern)} is not a pattern of hosts", "Give a group or a pattern.")
    return list(patterns)


def one_of_each_group(hosts: Sequence[str], groups: Groups) -> list[str]:
    """Return one of the hosts for each of Kubespray's groups that any of them is in; otherwise the first host."""
    firsts = []
    for name in _children(groups):
        members = set(groups[name])
        firsts += [host for host in hosts if host in members][:1]
    return list(dict.fromkeys(firsts)) or list(hosts[:1])


def _children(groups: Groups) -> list[str]:
    return [name for name in CHILDREN if groups.get(name)]


def _of_children(groups: Groups) -> list[str]:
    return [host for name in _children(groups) for host in groups[name]]


def _require_hosts(found: Sequence[str], patterns: Sequence[str], limit: str) -> None:
    """Refuse a run without hosts.

    :raises InputError: there are none.
    """
    if found:
        return
    what = " and ".join(map(printable, patterns))
    if limit:
        where = f"the hosts of {what}" if what else "the hosts of the inventory"
        raise InputError("--limit", f"{printable(limit)} matches none of {where}", "Name nodes of the cluster.")
    if not what:
        raise InputError("inventory", "it has no hosts", "Pass the inventory of the cluster: -i PATH.")
    raise InputError(_VARIABLE, f"{what} matches no host of the inventory", "Name a group that contains all nodes.")
