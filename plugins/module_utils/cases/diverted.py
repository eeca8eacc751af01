# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not be led to a pool's link: routes in the main table are for the node's own traffic too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..declaration.model import Declaration
from ..errors import InputError
from ..state import Node
from ..state.family import contains, family_of
from ..state.lookup import AddressLookup
from .choice import Attached
from .model import Choice, Group
from .recipe import routes_to_askers
from .refusals import Precious, precious

REMEDY = "Declare only what is on this link."
Led = tuple[str, str, str]


def misled(
    choices: Iterable[Choice], groups: Iterable[Group], declaration: Declaration, node: Node, attached: Attached
) -> Iterator[InputError]:
    """Yield every network whose route in the main table would take hosts of another link, or what the node needs.

    :param attached: interface by network, of what other owners made on-link.
    """
    needed = AddressLookup((item.address, item) for item in (*precious(declaration, node), *_nodes(declaration)))
    for path, network, interface in (*_by_choice(choices), *_by_group(groups)):
        other = attached.longest(network)
        lost = next((one for one in needed.inside(network) if _takes(network, interface, one.address, node)), None)
        ours = next((one for one in _of_cluster(declaration) if _meet(one, network)), "")
        if other not in (None, interface):
            problem = (
                f"{network} is part of a network attached to {other}, whose hosts would be looked for on {interface}"
            )
            yield InputError(path, problem, REMEDY)
        elif lost:
            problem = f"{network} covers {lost.address}, {lost.what}, which would be looked for on {interface}"
            yield InputError(path, problem, REMEDY)
        elif ours:
            problem = f"{network} meets {ours} of the cluster, which would be looked for on {interface}"
            yield InputError(path, problem, REMEDY)


def _takes(network: str, interface: str, address: str, node: Node) -> bool:
    """Whether a route to the network over the interface takes the address from the way it has now."""
    present, links = node.way_to(address)
    more_specific = present not in ("", network) and contains(network, present)
    return not more_specific and links != (interface,)


def _by_choice(choices: Iterable[Choice]) -> Iterator[Led]:
    """Yield place, network and interface of what ``onlink_route`` puts into the main table."""
    for choice in choices:
        if choice.case == "onlink_route":
            pool = choice.pool
            yield from ((f"{pool.path}.onlink_networks", network, pool.interface) for network in pool.onlink_networks)


def _by_group(groups: Iterable[Group]) -> Iterator[Led]:
    """Yield place, network and interface of what the mark recipe puts into the main table."""
    for group in groups:
        for route in routes_to_askers(group):
            yield (f"{group.pools[0].path}.gateways", route.destination, group.interface)


def _nodes(declaration: Declaration) -> Iterator[Precious]:
    yield from (Precious(address, "a node of the cluster") for address in declaration.cluster.node_addresses)


def _of_cluster(declaration: Declaration) -> tuple[str, ...]:
    return (*declaration.cluster.pod_networks, *declaration.cluster.service_networks)


def _meet(one: str, other: str) -> bool:
    return family_of(one) == family_of(other) and (contains(one, other) or contains(other, one))
