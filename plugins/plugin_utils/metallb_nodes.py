# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of the hosts of an inventory, as nodes of a cluster: from the cluster, or from variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import comma_separated
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.inventory_addresses import read_host
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import Labels

_HOSTNAME = "kubernetes.io/hostname"
#: The variables that contain labels, and the name of the node; the second ones are Kubespray's.
_LABELS = ("metallb_routing_node_labels", "node_labels")
_NAMES = ("metallb_routing_node_name", "kube_override_hostname")
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
#: Groups of the control plane, and the value that the project's distribution gives to the label.
CONTROL_PLANE_GROUPS = {"kube_control_plane": "", "server": "true", "master": "true", "masters": "true"}


@dataclass(frozen=True)
class Nodes:
    """The nodes of the cluster.

    :param hosts: the labels of each host of the inventory.
    :param outside: the labels of the nodes that are not in the inventory.
    :param names: the name in the cluster of each host that is a node of it.
    :param warnings: about hosts that are not nodes.
    """

    hosts: Mapping[str, Labels]
    outside: Mapping[str, Labels]
    names: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def from_cluster(hosts: Iterable[str], reader: Reader, nodes: Sequence[Mapping[str, Any]]) -> Nodes:
    """Find the node of each host by its name, else by its addresses.

    :param nodes: ``name``, ``labels`` and ``addresses`` of each.
    """
    by_name = {str(node["name"]).lower(): node for node in nodes}
    by_address = {address: node for node in nodes for address in node["addresses"]}
    found: dict[str, Mapping[str, Any]] = {}
    without: list[str] = []
    for host in hosts:
        names = [name.lower() for name in (*_given_names(host, reader), host, host.partition(".")[0])]
        node = next((by_name[name] for name in names if name in by_name), None)
        if node is None:
            addresses = read_host(host, partial(reader.get, host)).sources
            node = next((by_address[address] for address in addresses if address in by_address), None)
        if node is None:
            without.append(host)
        else:
            found[host] = node
    known = {node["name"] for node in found.values()}
    return Nodes(
        hosts={
            **{host: Labels(dict(node["labels"])) for host, node in found.items()},
            **{host: Labels(known=frozenset()) for host in without},
        },
        outside={str(node["name"]): Labels(dict(node["labels"])) for node in nodes if node["name"] not in known},
        names={host: str(node["name"]) for host, node in found.items()},
        warnings=tuple(_not_nodes(without)),
    )


def _not_nodes(hosts: Sequence[str]) -> Iterable[str]:
    if hosts:
        yield (
            f"{comma_separated(hosts)}: the cluster has no node with the name or an address of these hosts. Set"
            f" {_NAMES[0]} to the name that kubectl get nodes shows."
        )


def from_inventory(hosts: Sequence[str], reader: Reader, groups: Mapping[str, Sequence[str]]) -> Nodes:
    """Take the labels from variables and groups.

    A label that any host has is known for all: a host without it does not have it.
    """
    own = {host: _given_labels(host, reader) for host in hosts}
    known = frozenset(key for labels in own.values() for key in labels) | {"kubernetes.io/os"}
    control_plane = {
        host: value for group, value in CONTROL_PLANE_GROUPS.items() for host in groups.get(group, ()) if host in own
    }
    if control_plane:
        known |= {_CONTROL_PLANE}
    labels = {}
    for host, given in own.items():
        name = _node_name(host, reader, groups)
        values = {
            "kubernetes.io/os": "linux",
            **({_HOSTNAME: name} if name else {}),
            **({_CONTROL_PLANE: control_plane[host]} if host in control_plane else {}),
            **given,
        }
        labels[host] = Labels(values, known)
    return Nodes(labels, {}, {})


def _node_name(host: str, reader: Reader, groups: Mapping[str, Sequence[str]]) -> str:
    """Return the name of a host as a node, ``""`` if it is not known.

    Kubespray names nodes as the inventory does. Elsewhere a node is named by its own host name, which may be shorter.
    """
    for name in _given_names(host, reader):
        return name
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.lower() if "." not in host or "kube_control_plane" in groups else ""
    return ""


def _given_names(host: str, reader: Reader) -> list[str]:
    values = (_evaluated(reader, host, name) for name in _NAMES)
    return [value for value in values if isinstance(value, str) and value]


def _given_labels(host: str, reader: Reader) -> dict[str, str]:
    for name in _LABELS:
        value = _evaluated(reader, host, name)
        if isinstance(value, Mapping):
            return {str(key): _text(item) for key, item in value.items()}
    return {}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _evaluated(reader: Reader, host: str, name: str) -> Any:
    try:
        return reader.get(host, name)
    except Exception:  # noqa: BLE001 - a template can raise anything; Kubespray's may refer to what it sets itself
        return None
