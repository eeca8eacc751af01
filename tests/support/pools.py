# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations for the nodes of the lab and of ``node.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Pool = dict[str, Any]
Parameters = dict[str, Any]

ABSENT: Parameters = {"state": "absent"}
CLUSTER: Mapping[str, Any] = {
    "pod_networks": ["10.112.0.0/12", "fd00:112::/32"],
    "service_networks": ["10.96.0.0/12", "fd00:96::/108"],
}
NODE_ADDRESSES = ("192.168.1.11", "192.168.1.12", "fd00:192:168:1::11", "fd00:192:168:1::12")
EXTERNAL: Mapping[str, Any] = {
    "name": "external",
    "networks": ["1.2.3.0/24", "fd00:1:2:3::/64"],
    "interface": "eth0.100",
    "gateways": ["1.2.3.1", "fd00:1:2:3::1"],
}
STORAGE: Mapping[str, Any] = {
    "name": "storage",
    "networks": ["10.9.8.10-10.9.8.60"],
    "interface": "eth1",
    "onlink_networks": ["10.9.8.0/24"],
}
SECOND: Mapping[str, Any] = {
    "name": "second",
    "networks": ["1.2.4.0/25", "1.2.4.160-1.2.4.180"],
    "interface": "eth0.200",
    "onlink_networks": ["1.2.5.0/24"],
    "gateways": ["1.2.5.1"],
    "addresses": ["1.2.5.201"],
    "deny": ["192.168.1.0/24"],
}
SHARED: Mapping[str, Any] = {
    "name": "shared",
    "networks": ["1.2.6.0/24", "fd00:1:2:6::/64"],
    "interface": "eth2",
    "gateways": ["1.2.6.1", "fe80::1"],
    "case": "source_routing",
}
INSIDE: Mapping[str, Any] = {"name": "inside", "networks": ["192.168.1.240/28"], "interface": "eth0"}


def declared(*pools: Mapping[str, Any], cluster: Mapping[str, Any] | None = None, **settings: Any) -> Parameters:
    """Return a module's parameters for these pools."""
    whole = {**CLUSTER, "node_addresses": list(NODE_ADDRESSES), **(cluster or {})}
    return {"pools": [dict(pool) for pool in pools], "cluster": whole, **settings}
