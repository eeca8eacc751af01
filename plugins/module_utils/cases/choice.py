# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The case of each pool on this node."""

from __future__ import annotations

from collections.abc import Mapping

from ..declaration.case_traits import AUTO, AUTO_CASES, CASES, Situation
from ..declaration.model import Pool
from ..errors import InputError, InputErrors
from ..state import Node
from ..state.family import FAMILY_NAMES, family_of
from .context import Context
from .model import Choice


def choose_all(context: Context) -> tuple[Choice, ...]:
    """Return the case of every pool.

    :raises InputErrors: the declared cases that do not fit this node.
    """
    choices, errors = [], []
    for pool in context.declaration.pools:
        try:
            choices.append(_choose(pool, context))
        except InputError as error:
            errors.append(error)
    if errors:
        raise InputErrors(tuple(errors))
    return tuple(choices)


def _choose(pool: Pool, context: Context) -> Choice:
    situation, reason = _situation(pool, context)
    if situation is Situation.ALREADY_ROUTED:
        _refuse_configured_link(pool, context, reason)
    fitting = AUTO_CASES[situation].name
    if pool.case == AUTO:
        return Choice(pool, fitting, reason)
    # Where the node needs nothing, every other case would change what works.
    already_routed = CASES[pool.case].auto_for is Situation.ALREADY_ROUTED
    if already_routed != (situation is Situation.ALREADY_ROUTED):
        raise InputError(
            f"{pool.path}.case",
            f"{pool.case} does not fit {', '.join(pool.written_networks)} on {pool.interface}: {reason}",
            f"Use case: {fitting} (role {fitting}), or case: {AUTO}.",
        )
    return Choice(pool, pool.case, "declared")


def _situation(pool: Pool, context: Context) -> tuple[Situation, str]:
    """Return the situation that follows from the node's own addresses and routes, and the reason for the user.

    :raises InputError: the pool cannot work on this node in any case.
    """
    interfaces = {network: _attached_to(network, pool, context) for network in pool.networks}
    all_onlink = set(interfaces.values()) == {pool.interface}
    onlink = f"{pool.interface} has an on-link route to {', '.join(pool.written_networks)}"
    if pool.gateways:
        if all_onlink and _is_default_router(pool, context.node):
            reason = f"{onlink}, and the node's default route uses {pool.gateways[0]} on {pool.interface}"
            return Situation.ALREADY_ROUTED, reason
        _require_gateways(pool)
        own = f"replies must leave through {', '.join(pool.gateways)} on {pool.interface}"
        reason = f"{own}, and {_default_routers(pool, context.node)}"
        return Situation.OWN_GATEWAY, reason
    if all_onlink:
        return Situation.ALREADY_ROUTED, onlink
    _refuse_other_links(pool, interfaces)
    unrouted = [network for network, interface in interfaces.items() if interface != pool.interface]
    reason = f"no gateway is declared, and {pool.interface} has no on-link route to {', '.join(pool.written(unrouted))}"
    return Situation.NO_GATEWAY, reason


def _refuse_configured_link(pool: Pool, context: Context, reason: str) -> None:
    """Refuse a pool whose link was created for it and then configured by another program: the pool's routing would be removed."""
    link = context.node.interfaces.get(pool.interface)
    if pool.vlan and link and link.managed:
        addresses = sorted(one.address for one in context.node.foreign_addresses_by_link.get(link.name, ()))
        raise InputError(
            f"{pool.path}.interface",
            f"{link.name} was created for this pool, but another program has configured it since, perhaps a network manager by"
            f" DHCP ({', '.join(addresses)}): {reason}",
            f"Exclude {link.name} in that program, remove what it configured (ip address flush dev {link.name} scope global), and"
            " run again. If the link is to be the node's own, create it there and leave vlan out.",
        )


def _attached_to(network: str, pool: Pool, context: Context) -> str | None:
    """Return the pool's interface if it has an on-link route to the network, else the one that the kernel uses, if any."""
    links = context.attached_interfaces.longest(network) or ()
    return pool.interface if pool.interface in links else next(iter(links), None)


def _default_routers(pool: Pool, node: Node) -> str:
    """Return where the node's default routes lead, in the families of the pool's gateways."""
    families = {family_of(gateway) for gateway in pool.gateways}
    routes = [route for route in node.default_routes if route.family in families]
    hops = dict.fromkeys(
        f"{route.gateway} on {route.interface}" if route.gateway else route.interface or str(route) for route in routes
    )
    if not hops:
        return "the node has no default route"
    return f"the node's default route{'s use' if len(hops) > 1 else ' uses'} {', '.join(hops)}"


def _refuse_other_links(pool: Pool, interfaces: Mapping[str, str | None]) -> None:
    """Refuse a pool with a network that is on-link elsewhere: a route to it would divert the traffic of that link."""
    elsewhere = {network: other for network, other in interfaces.items() if other not in (None, pool.interface)}
    if elsewhere:
        links = ", ".join(sorted({str(other) for other in elsewhere.values()}))
        raise InputError(
            f"{pool.path}.interface",
            f"the on-link route to {', '.join(pool.written(elsewhere))} uses {links} on this node, not {pool.interface}",
            f"Declare that interface, or remove the network from {links}.",
        )


def _require_gateways(pool: Pool) -> None:
    """Refuse a pool with a family that has no gateway: there would be no route for its replies."""
    missing = {family_of(network) for network in pool.networks} - {family_of(gateway) for gateway in pool.gateways}
    for family in sorted(missing):
        label = FAMILY_NAMES[family]
        raise InputError(
            f"{pool.path}.gateways",
            f"the pool has {label} networks but no {label} gateway, so {label} replies would have no route",
            f"Add the {label} gateway, or declare the {label} networks as a separate pool.",
        )


def _is_default_router(pool: Pool, node: Node) -> bool:
    """Whether every gateway of the pool is the only next hop of the node's best default routes of its family.

    A next hop is an address on a link: routers on different links may have the same address, as fe80::1.
    """
    next_hops: dict[str, set[tuple[str, str]]] = {}
    best_metric: dict[str, int] = {}
    for route in node.default_routes:
        if best_metric.setdefault(route.family, route.metric) == route.metric:
            next_hops.setdefault(route.family, set()).add((route.gateway, route.interface))
    return all(next_hops.get(family_of(gateway)) == {(gateway, pool.interface)} for gateway in pool.gateways)
