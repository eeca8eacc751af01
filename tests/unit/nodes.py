# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node made of values, for tests of the pure layers; tests/kernel tests against the real kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.model import (
    Cluster,
    Declaration,
    Pool,
    Settings,
    Vlan,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import (
    Address,
    Interface,
    KubeProxy,
    Node,
    NodeState,
    Route,
    Rule,
    Sysctl,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import BY_NAME, KINDS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route import MAIN_TABLE
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step

KERNEL_RULES = frozenset(
    Rule(family, priority, table=table)
    for family in ("ipv4", "ipv6")
    for priority, table in ((0, 255), (32766, 254), (32767, 253))
    if (family, priority) != ("ipv6", 32767)
)


def cluster_node(**changes: Any) -> Node:
    """Return a node as most are: eth0 in 192.168.1.0/24 behind 192.168.1.1, and an eth0.100 without addresses."""
    node = Node(
        interfaces={
            "lo": Interface("lo", 1, True, addresses=("127.0.0.1/8",)),
            "eth0": Interface("eth0", 2, True, addresses=("192.168.1.11/24", "fd00:192:168:1::11/64")),
            "eth0.100": Interface("eth0.100", 3, True, kind="vlan", parent="eth0", vlan_id=100),
            "eth1": Interface("eth1", 4, True),
        },
        foreign_addresses=frozenset(
            {Address("lo", "127.0.0.1/8"), Address("eth0", "192.168.1.11/24"), Address("eth0", "fd00:192:168:1::11/64")}
        ),
        foreign_routes=frozenset(
            {
                Route("ipv4", MAIN_TABLE, "0.0.0.0/0", gateway="192.168.1.1", interface="eth0"),
                Route("ipv4", MAIN_TABLE, "192.168.1.0/24", interface="eth0", source="192.168.1.11"),
                Route("ipv6", MAIN_TABLE, "::/0", gateway="fd00:192:168:1::1", interface="eth0"),
                Route("ipv6", MAIN_TABLE, "fd00:192:168:1::/64", metric=256, interface="eth0"),
                Route("ipv4", MAIN_TABLE, "10.112.2.0/24", gateway="192.168.1.12", interface="eth0"),
            }
        ),
        foreign_rules=KERNEL_RULES,
        sysctls={
            "net/ipv4/conf/all/rp_filter": "0",
            **{f"net/ipv6/conf/{name}/disable_ipv6": "0" for name in ("default", "eth0", "eth0.100", "eth1")},
        },
        kube_proxy=KubeProxy("iptables", "chain KUBE-SERVICES"),
    )
    return replace(node, **changes)


def pool(name: str = "external", **changes: Any) -> Pool:
    """Return the pool of the article: 1.2.3.0/24 behind 1.2.3.1 on eth0.100."""
    values: dict[str, Any] = {
        "path": "pools[0]",
        "name": name,
        "networks": ("1.2.3.0/24",),
        "interface": "eth0.100",
        "gateways": ("1.2.3.1",),
    }
    return Pool(**{**values, **changes})


def declaration(*pools: Pool, **changes: Any) -> Declaration:
    """Return a declaration of the pools, in a cluster with pods, services and two nodes."""
    numbered = tuple(replace(item, path=f"pools[{number}]") for number, item in enumerate(pools))
    cluster = Cluster(
        pod_networks=("10.112.0.0/12", "fd00:112::/32"),
        service_networks=("10.96.0.0/12",),
        node_addresses=("192.168.1.11", "192.168.1.12", "fd00:192:168:1::11"),
    )
    return Declaration(numbered, **{"cluster": cluster, "settings": Settings(), **changes})


def after(steps: Iterable[Step], node: Node) -> Node:
    """Return the node once the steps have been done."""
    parts: dict[str, set[Any]] = {kind.plural: set(node.managed.of(kind)) for kind in KINDS}
    sysctls, originals = dict(node.sysctls), dict(node.originals)
    interfaces = dict(node.interfaces)
    for step in steps:
        objects = parts[BY_NAME[step.kind].plural]
        if step.before is not None:
            objects.discard(step.before)
        if step.after is not None:
            objects.add(step.after)
        if step.kind == "sysctl":
            _set(step, sysctls, originals)
        if step.kind == "link":
            _plug(step, interfaces)
            sysctls[f"net/ipv6/conf/{step.subject.name}/disable_ipv6"] = "0"
    parts["sysctls"] = {Sysctl(name, sysctls[name]) for name in originals}
    managed = NodeState(**{field: frozenset(items) for field, items in parts.items()})
    return replace(node, managed=managed, sysctls=sysctls, originals=originals, interfaces=interfaces)


def _set(step: Step, sysctls: dict[str, str], originals: dict[str, str]) -> None:
    subject: Any = step.subject
    if step.after is None:
        sysctls[subject.name] = originals.pop(subject.name)
    else:
        if step.before is None:
            originals[subject.name] = sysctls.get(subject.name, "0")
        sysctls[subject.name] = subject.value


def _plug(step: Step, interfaces: dict[str, Interface]) -> None:
    subject: Any = step.subject
    if step.after is None:
        del interfaces[subject.name]
    else:
        interfaces[subject.name] = Interface(
            subject.name,
            100,
            subject.up,
            subject.kind,
            subject.parent,
            subject.vlan_id,
            subject.mtu or 1500,
            managed=True,
        )


def vlan(parent: str = "eth0", identifier: int = 100) -> Vlan:
    """Return a VLAN on eth0."""
    return Vlan(parent, identifier)
