# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that the steps of compiling hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ..declaration.case_traits import CASES, CaseTraits
from ..declaration.model import Pool
from ..state import NodeState
from ..state.family import FAMILIES, covering, family_of, full_length


@dataclass(frozen=True)
class Choice:
    """The case of a pool on a node.

    :param case: a name in ``declaration.case_traits.CASES``.
    :param reason: one clause for the user.
    """

    pool: Pool
    case: str
    reason: str

    @property
    def traits(self) -> CaseTraits:
        """Return the row of the table of cases."""
        return CASES[self.case]


class GroupKey(NamedTuple):
    """What pools must have in common to share a mark and a table.

    :param table: as declared; 0 if it is to be chosen.
    :param mark: as declared; 0 if it is to be chosen.
    """

    case: str
    interface: str
    gateways: tuple[str, ...]
    table: int
    mark: int


@dataclass(frozen=True)
class Group:
    """Pools that are compiled together: those with one :class:`GroupKey`, or a single pool where the case has no marks.

    :param shared: the link carries other traffic of the node too, so the guard must not drop that.
    :param sharing_reason: why the link is shared or dedicated, one clause for the user.
    :param mark: value under ``mark_mask``; 0 where the case has no marks. Every other group has one, also under IPVS.
    :param table: the routing table for replies; 0 where the case has no marks.
    :param request_mark: mark of request packets on a shared link, where replies from other nodes arrive too and must not
        be taken for requests; 0 on a dedicated one.
    """

    case: str
    interface: str
    gateways: tuple[str, ...]
    pools: tuple[Pool, ...]
    shared: bool
    sharing_reason: str = ""
    mark: int = 0
    table: int = 0
    request_mark: int = 0

    @property
    def traits(self) -> CaseTraits:
        """Return the row of the table of cases."""
        return CASES[self.case]

    @property
    def path(self) -> str:
        """Return the input path of the first pool, for messages about the group."""
        return self.pools[0].path

    def networks(self, family: str) -> tuple[str, ...]:
        """Return the pools' networks of one family, in the order of the declaration."""
        return tuple(network for pool in self.pools for network in pool.networks if family_of(network) == family)

    def destinations(self, family: str) -> tuple[str, ...]:
        """Return the destinations of requests: the networks, and per-node addresses that are not inside them."""
        networks = self.networks(family)
        addresses = (address for pool in self.pools for address in pool.addresses if family_of(address) == family)
        single = (f"{address}/{full_length(family)}" for address in addresses if not covering(networks, address))
        return (*networks, *dict.fromkeys(single))

    def onlink_networks(self, family: str) -> tuple[str, ...]:
        """Return the networks on the link: the declared ``onlink_networks``, and pool networks that are not inside them."""
        declared = (network for pool in self.pools for network in pool.onlink_networks if family_of(network) == family)
        further = tuple(dict.fromkeys(declared))
        return (*further, *(network for network in self.networks(family) if not covering(further, network)))

    def gateway(self, family: str) -> str:
        """Return the gateway of one family, or ``""``."""
        return next((gateway for gateway in self.gateways if family_of(gateway) == family), "")

    @property
    def node_services(self) -> bool:
        """Whether connections to the node's own addresses on the link are answered through the gateways, too."""
        return any(pool.node_services for pool in self.pools)

    @property
    def families(self) -> tuple[str, ...]:
        """Return the families of the pools' networks."""
        return tuple(family for family in FAMILIES if self.networks(family))


@dataclass(frozen=True)
class ConnmarkRule:
    """Connections that arrive on ``interface`` for one of ``networks`` get the connmark ``mark``.

    :param request_mark: the packet mark of their requests if it differs from ``mark``, else 0.
    :param has_bridged_frames: iptables may see frames on the link that the node passes on from port to port of a bridge.
    """

    family: str
    interface: str
    networks: tuple[str, ...]
    mark: int
    request_mark: int = 0
    has_bridged_frames: bool = False


@dataclass(frozen=True)
class GuardRule:
    """What may arrive on ``interface``.

    :param networks: destinations that pass.
    :param deny: sources whose packets are dropped.
    :param drop_cluster_sources: drop packets to ``networks`` from the cluster's own networks: they can only be forged.
    :param drop_other_destinations: drop everything that is not for ``networks``; on dedicated links only.
    :param own: addresses of the node among the destinations: there, only ICMP passes on dedicated links.
    :param vital: hosts outside ``networks`` whose packets always pass, in both directions.
    """

    family: str
    interface: str
    networks: tuple[str, ...]
    deny: tuple[str, ...] = ()
    drop_cluster_sources: bool = False
    drop_other_destinations: bool = False
    own: tuple[str, ...] = ()
    vital: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompiledGroup:
    """What one group compiles to; the chains are built from the rules of all groups together."""

    state: NodeState = field(default_factory=NodeState)
    connmark_rules: tuple[ConnmarkRule, ...] = ()
    guard_rules: tuple[GuardRule, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """The desired state of one node, with the decisions that led to it."""

    state: NodeState
    choices: tuple[Choice, ...] = ()
    groups: tuple[Group, ...] = ()
    warnings: tuple[str, ...] = ()
