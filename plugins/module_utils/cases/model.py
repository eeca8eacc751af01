# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of this room hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..declaration.model import Pool
from ..state import NodeState
from ..state.family import FAMILIES, covering, family_of, full_length


@dataclass(frozen=True)
class Choice:
    """Which case a pool is, and by which fact.

    :param case: a key of ``declaration.case_traits.CASES``.
    :param reason: one sentence for the user.
    """

    pool: Pool
    case: str
    reason: str


@dataclass(frozen=True)
class Group:
    """Pools whose replies leave by the same gateways over the same interface: one mark, one table.

    :param mark: value under ``mark_mask``; every group has one, also where the case routes without it.
    :param table: number of the routing table that leads back through the gateways.
    :param shared: the interface carries other traffic of the node too, so nothing of that may be dropped.
    :param request_mark: what requests carry instead of ``mark`` on a shared interface, where replies from other nodes
        arrive by the same interface and must not be taken for requests; 0 on a dedicated one.
    """

    case: str
    interface: str
    gateways: tuple[str, ...]
    pools: tuple[Pool, ...]
    mark: int
    table: int
    shared: bool
    request_mark: int = 0

    def networks(self, family: str) -> tuple[str, ...]:
        """Return the pools' networks of one family, sorted as declared."""
        return tuple(network for pool in self.pools for network in pool.networks if family_of(network) == family)

    def destinations(self, family: str) -> tuple[str, ...]:
        """Return the networks, and those per-node addresses that are not inside them: all that requests may ask for."""
        networks = self.networks(family)
        addresses = (address for pool in self.pools for address in pool.addresses if family_of(address) == family)
        single = (f"{address}/{full_length(family)}" for address in addresses if not covering(networks, address))
        return (*networks, *dict.fromkeys(single))

    def attached_networks(self, family: str) -> tuple[str, ...]:
        """Return what is reached on the link itself: its further networks, and the pools' own that are not inside those."""
        found = (network for pool in self.pools for network in pool.onlink_networks if family_of(network) == family)
        further = tuple(dict.fromkeys(found))
        return (*further, *(network for network in self.networks(family) if not covering(further, network)))

    def gateway(self, family: str) -> str:
        """Return the gateway of one family, or ``""``."""
        return next((gateway for gateway in self.gateways if family_of(gateway) == family), "")

    @property
    def families(self) -> tuple[str, ...]:
        """Return the families that the pools have networks of."""
        return tuple(family for family in FAMILIES if self.networks(family))


@dataclass(frozen=True)
class Marking:
    """Connections that come in by ``interface`` to one of ``networks`` get ``mark``.

    :param request_mark: what their requests carry themselves, where that is another mark; otherwise 0.
    """

    family: str
    interface: str
    networks: tuple[str, ...]
    mark: int
    request_mark: int = 0


@dataclass(frozen=True)
class Guarding:
    """What may come in by ``interface``.

    :param networks: destinations that may be asked for there.
    :param deny: sources refused on this interface.
    :param refuse_cluster: also refuse what can only be forged: sources in the cluster's own networks.
    :param only_networks: drop every other destination; for dedicated interfaces alone.
    """

    family: str
    interface: str
    networks: tuple[str, ...]
    deny: tuple[str, ...] = ()
    refuse_cluster: bool = False
    only_networks: bool = False


@dataclass(frozen=True)
class Needs:
    """What one case needs for one group of pools."""

    state: NodeState = field(default_factory=NodeState)
    markings: tuple[Marking, ...] = ()
    guardings: tuple[Guarding, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """The declaration, made into the state of this node."""

    state: NodeState
    choices: tuple[Choice, ...] = ()
    groups: tuple[Group, ...] = ()
    warnings: tuple[str, ...] = ()
