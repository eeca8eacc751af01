# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses routes in the main table that would divert other traffic of the node to a pool's link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...declaration.model import Declaration
from ...errors import InputError
from ...state import Node
from ...state.family import contains, family_of
from ...state.lookup import AddressLookup
from ..context import Context
from ..model import Group
from ..recipe import gateway_routes
from ..vital import VitalAddress

REMEDY = "Declare only networks that are on this link."


class MainTableRoute(NamedTuple):
    """A route that a group has in the main table, apart from those to the pools themselves.

    :param path: of the option that adds it.
    """

    path: str
    network: str
    interface: str


def diverted_traffic(groups: Iterable[Group], context: Context) -> Iterator[InputError]:
    """Yield every route that would divert traffic for hosts of another link or for what the node needs."""
    declaration = context.declaration
    needed = AddressLookup((vital.address, vital) for vital in (*context.vital_addresses, *_nodes(declaration)))
    of_cluster = (*declaration.cluster.pod_networks, *declaration.cluster.service_networks)
    for path, network, interface in (route for group in groups for route in _main_table_routes(group)):
        other = context.onlink_interfaces.longest(network)
        vital = next((one for one in needed.inside(network) if _diverts(network, interface, one, context.node)), None)
        overlapped = next((one for one in of_cluster if _overlap(one, network)), "")
        if other not in (None, interface):
            problem = (
                f"{network} is in an on-link network of {other}, whose traffic a route would divert to {interface}"
            )
        elif vital:
            problem = f"{network} covers {vital.address}, {vital.description}, whose traffic a route would divert to {interface}"
        elif overlapped:
            problem = (
                f"{network} overlaps {overlapped} of the cluster, whose traffic a route would divert to {interface}"
            )
        else:
            continue
        yield InputError(path, problem, REMEDY)


def _diverts(network: str, interface: str, vital: VitalAddress, node: Node) -> bool:
    """Whether a route to the network over the interface changes the path to the address."""
    current = node.route_to(vital.address)
    more_specific = current.network not in ("", network) and contains(network, current.network)
    return not more_specific and current.interfaces != (interface,)


def _main_table_routes(group: Group) -> Iterator[MainTableRoute]:
    if group.traits.uses_main_table:
        for pool in group.pools:
            for network in pool.onlink_networks:
                yield MainTableRoute(f"{pool.path}.onlink_networks", network, group.interface)
    if group.traits.uses_marks:
        for route in gateway_routes(group):
            yield MainTableRoute(f"{group.path}.gateways", route.destination, group.interface)


def _nodes(declaration: Declaration) -> Iterator[VitalAddress]:
    yield from (VitalAddress(address, "a node of the cluster") for address in declaration.cluster.node_addresses)


def _overlap(one: str, other: str) -> bool:
    return family_of(one) == family_of(other) and (contains(one, other) or contains(other, one))
