# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A valid declaration: pools, the cluster, and the identifiers that this collection uses on a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ..state.family import family_of
from .case_traits import AUTO

KUBE_PROXY_MODES = ("auto", "iptables", "nftables", "ipvs")
RP_FILTERS = ("auto", "leave", "strict", "loose", "off")
VARIANTS = ("auto", "nft", "legacy")
STATES = ("present", "absent")

# Limits of a declaration. A larger one is an error in a template rather than a large site.

#: Runs with 1,000 pools are measured.
MAX_POOLS = 1024

#: Entries of one list, and the networks they amount to. An IPv6 range is at most 238 networks, so any range is allowed.
MAX_NETWORKS_PER_POOL = 256

#: Of each kind (networks, onlink_networks, deny) in all pools together: each becomes routes and rules.
MAX_NETWORKS = 4096

#: Kubernetes supports 5,000 nodes; each may have an address per family and one more.
MAX_CLUSTER_ADDRESSES = 16384


@dataclass(frozen=True)
class Vlan:
    """The 802.1Q link to create if it is missing.

    :param parent: name of the link below.
    :param id: 1-4094.
    :param mtu: bytes; 0 uses the parent's.
    """

    parent: str
    id: int
    mtu: int = 0


@dataclass(frozen=True)
class Pool:
    """One entry of ``pools``.

    :param path: of the entry in the input, for messages: ``pools[2]``.
    :param networks: canonical ``address/length``, ranges already summarized, sorted, no two overlapping.
    :param onlink_networks: further networks attached to the interface, likewise canonical.
    :param gateways: at most one per family, sorted; each inside ``networks`` or ``onlink_networks``.
    :param addresses: per-node addresses of the pool, at most one per family, without prefix length.
    :param ranges: for each network of a range, the network and the range as it was written.
    :param table: 0 to choose one automatically.
    :param mark: 0 to choose one automatically.
    :param dedicated: None to decide by what else uses the interface.
    :param deny: canonical networks whose packets are dropped on the interface.
    :param node_services: connections to the node's own addresses on the interface are answered through the gateways, too.
    """

    path: str
    name: str
    networks: tuple[str, ...]
    interface: str
    onlink_networks: tuple[str, ...] = ()
    vlan: Vlan | None = None
    gateways: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    case: str = AUTO
    table: int = 0
    mark: int = 0
    deny: tuple[str, ...] = ()
    dedicated: bool | None = None
    rp_filter: str = "auto"
    node_services: bool = False
    ranges: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def written(self, networks: Iterable[str]) -> tuple[str, ...]:
        """Return what the user wrote for these networks of the pool: a range, not the networks that it amounts to."""
        ranges = dict(self.ranges)
        return tuple(dict.fromkeys(ranges.get(network, network) for network in networks))

    @property
    def written_networks(self) -> tuple[str, ...]:
        """The networks as the user wrote them."""
        return self.written(self.networks)


@dataclass(frozen=True)
class Cluster:
    """The cluster that uses the pools; networks canonical, addresses without prefix length."""

    pod_networks: tuple[str, ...] = ()
    service_networks: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    api_servers: tuple[str, ...] = ()
    kube_proxy_mode: str = "auto"


@dataclass(frozen=True)
class Settings:
    """The identifiers that this collection uses on a node.

    :param mark_mask: bits of the packet mark that it sets; one run of adjacent bits.
    :param priority_base: first of the 1,000 rule priorities that it uses.
    :param table_base: first routing table to choose for a gateway without an explicit one.
    :param protocol: of its routes and rules, which distinguishes managed ones from foreign ones; 5-255.
    :param iptables_variant: ``auto``, ``nft`` or ``legacy``.
    """

    mark_mask: int = 0x1F00
    priority_base: int = 2000
    table_base: int = 7701
    protocol: int = 77
    iptables_variant: str = "auto"


@dataclass(frozen=True)
class Declaration:
    """Everything that was declared for one node.

    :param finds_nodes: the node addresses were found out, not declared; what is missing is reported by node.
    """

    pools: tuple[Pool, ...] = ()
    cluster: Cluster = field(default_factory=Cluster)
    settings: Settings = field(default_factory=Settings)
    finds_nodes: bool = False

    @property
    def families(self) -> list[str]:
        """The families of the pools, IPv4 first."""
        return sorted({family_of(network) for pool in self.pools for network in pool.networks})

    @cached_property
    def pools_by_interface(self) -> Mapping[str, tuple[Pool, ...]]:
        """The pools of each interface, in the order of the declaration."""
        found: dict[str, list[Pool]] = {}
        for pool in self.pools:
            found.setdefault(pool.interface, []).append(pool)
        return {name: tuple(pools) for name, pools in found.items()}
