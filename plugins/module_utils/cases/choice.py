# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the four cases a pool is on this node."""

from __future__ import annotations

from ..declaration.model import Pool
from ..errors import InputError
from ..state import Node
from ..state.family import family_of
from ..state.lookup import NetworkLookup
from .facts import attached_networks
from .model import Choice

Attached = NetworkLookup[str]


def attached_interfaces(node: Node) -> Attached:
    """Return the interface of every network that the node is attached to, to be found by what lies inside."""
    return NetworkLookup(attached_networks(node))


def choose(pool: Pool, node: Node, attached: Attached) -> Choice:
    """Return the pool's case with the fact that decides.

    :param attached: see :func:`attached_interfaces`; one for all pools.
    :raises InputError: the declared case does not fit this node; the message names the one that does.
    """
    fitting = _fitting(pool, node, attached)
    if pool.case == "auto":
        return fitting
    # Where nothing is needed, no other case fits either: each would change what works.
    if (pool.case == "same_subnet") != (fitting.case == "same_subnet"):
        raise _does_not_fit(pool, fitting)
    return Choice(pool, pool.case, "declared")


def _does_not_fit(pool: Pool, fitting: Choice) -> InputError:
    return InputError(
        f"{pool.path}.case",
        f"{pool.case} does not fit {', '.join(pool.networks)} on {pool.interface}: {fitting.reason}",
        f"Use case: {fitting.case} (role {fitting.case}), or case: auto.",
    )


def _fitting(pool: Pool, node: Node, lookup: Attached) -> Choice:
    """Return the case that the node's own addresses and routes call for."""
    # "" stands for a network that is attached to no interface.
    attached = {lookup.longest(network) or "" for network in pool.networks}
    home = f"{', '.join(pool.networks)} is part of a network attached to {pool.interface}"
    if pool.gateways:
        if attached == {pool.interface} and _default_leads_home(pool, node):
            return Choice(
                pool, "same_subnet", f"{home}, and the node's default route already goes to {pool.gateways[0]}"
            )
        _require_gateways(pool)
        return Choice(
            pool,
            "policy_routing",
            f"replies must leave through {', '.join(pool.gateways)}, which is not where the node's default route goes",
        )
    if attached == {pool.interface}:
        return Choice(pool, "same_subnet", home)
    lacking = [network for network in pool.networks if lookup.longest(network) != pool.interface]
    # One of several is enough: its route would take that link's hosts.
    elsewhere = [network for network in lacking if lookup.longest(network)]
    if elsewhere:
        links = ", ".join(sorted(attached - {"", pool.interface}))
        raise InputError(
            f"{pool.path}.interface",
            f"{', '.join(elsewhere)} is attached to {links} on this node, not to {pool.interface}",
            f"Name that interface, or take the network off {links}.",
        )
    return Choice(
        pool, "onlink_route", f"no gateway is declared and {pool.interface} has no route to {', '.join(lacking)}"
    )


def _require_gateways(pool: Pool) -> None:
    """Refuse a pool of which one family would have nowhere to go: its replies would all be unreachable."""
    lacking = {family_of(network) for network in pool.networks} - {family_of(gateway) for gateway in pool.gateways}
    for family in sorted(lacking):
        raise InputError(
            f"{pool.path}.gateways",
            f"there is none for {family}, of which the pool has networks, so replies there could not leave",
            f"Add the {family} gateway, or make the {family} networks a pool of their own.",
        )


def _default_leads_home(pool: Pool, node: Node) -> bool:
    """Whether every gateway of the pool is the next hop of the node's best default route of that family."""
    best: dict[str, set[str]] = {}
    least: dict[str, int] = {}
    for route in node.default_routes:
        if least.setdefault(route.family, route.metric) == route.metric:
            best.setdefault(route.family, set()).add(route.gateway)
    return all(best.get(family_of(gateway)) == {gateway} for gateway in pool.gateways)
