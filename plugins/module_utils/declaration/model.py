# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user declares, once it is valid: pools, the cluster, and the numbers we may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .case_traits import AUTO

KUBE_PROXY_MODES = ("auto", "iptables", "nftables", "ipvs")
RP_FILTERS = ("auto", "leave", "strict", "loose", "off")
VARIANTS = ("auto", "nft", "legacy")


@dataclass(frozen=True)
class Vlan:
    """The 802.1Q link to create where it is absent.

    :param parent: name of the link below.
    :param id: 1-4094.
    :param mtu: bytes; 0 takes the parent's.
    """

    parent: str
    id: int
    mtu: int = 0


@dataclass(frozen=True)
class Pool:
    """One entry of ``pools``.

    :param path: where it stands in the input, ``pools[2]``, for messages.
    :param networks: canonical ``address/length``, ranges already summarized, sorted, no two overlapping.
    :param onlink_networks: further networks attached to the interface, likewise canonical.
    :param gateways: at most one per family, sorted; each inside ``networks`` or ``onlink_networks``.
    :param addresses: per-node addresses of the pool, at most one per family, without prefix length.
    :param table: 0 lets us choose.
    :param mark: 0 lets us choose.
    :param dedicated: None decides by the node's addresses.
    :param deny: canonical networks whose packets are refused on the interface.
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


@dataclass(frozen=True)
class Cluster:
    """The cluster around the pools; networks canonical, addresses without prefix length."""

    pod_networks: tuple[str, ...] = ()
    service_networks: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    api_servers: tuple[str, ...] = ()
    kube_proxy_mode: str = "auto"


@dataclass(frozen=True)
class Settings:
    """Numbers and names that are ours on the node.

    :param mark_mask: bits of the packet mark that are ours; one run of adjacent bits.
    :param priority_base: first of the 1,000 rule priorities that are ours.
    :param table_base: first routing table we choose for a gateway without an explicit one.
    :param protocol: of our routes and rules, 5-255.
    :param iptables_variant: ``auto``, ``nft`` or ``legacy``.
    """

    mark_mask: int = 0x1F00
    priority_base: int = 2000
    table_base: int = 7701
    protocol: int = 77
    iptables_variant: str = "auto"


@dataclass(frozen=True)
class Declaration:
    """All that was declared for one node."""

    pools: tuple[Pool, ...] = ()
    cluster: Cluster = field(default_factory=Cluster)
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def pools_by_interface(self) -> Mapping[str, tuple[Pool, ...]]:
        """The pools of each interface, as declared."""
        found: dict[str, list[Pool]] = {}
        for pool in self.pools:
            found.setdefault(pool.interface, []).append(pool)
        return {name: tuple(pools) for name, pools in found.items()}


#: A run with 1,000 pools is what is measured; what nobody has measured is not promised.
MAX_POOLS = 1024

#: Entries of one list, and networks that they come to. One IPv6 range comes to at most 238, so any range fits.
MAX_NETWORKS_PER_POOL = 256

#: Of each kind (networks, onlink_networks, deny) in all pools together: each becomes routes and rules.
MAX_NETWORKS = 4096

#: Kubernetes goes up to 5,000 nodes; each may have an address per family and one more.
MAX_CLUSTER_ADDRESSES = 16384
