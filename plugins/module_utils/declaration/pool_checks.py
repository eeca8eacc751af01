# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the options of one pool with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..state.family import FAMILIES, FAMILY_NAMES, IPV4
from .case_traits import AUTO_CASES, CASES, GATEWAY_OPTIONS, Situation
from .networks import Span, SpanIndex, overlapping, relation
from .option_reader import ErrorCollector
from .pools import PoolInput
from .values import comma_separated

_LINK_LOCAL_PREFIX = 0xFE80 >> 6


def check_pool(errors: ErrorCollector, entry: PoolInput) -> None:
    """Refuse options of a pool that contradict each other or that have no effect in its case."""
    _check_onlink_networks(errors, entry)
    _check_gateways(errors, entry)
    _check_addresses(errors, entry)
    _check_case_options(errors, entry)


def _check_onlink_networks(errors: ErrorCollector, entry: PoolInput) -> None:
    """Refuse on-link networks that repeat each other or ``networks``.

    One that contains a network of the pool is the usual case: the pool is a part of the router's subnet.
    """
    if not entry.onlink_networks:
        return
    for later, earlier in overlapping(entry.onlink_networks):
        problem = f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text})"
        errors.add(later.path, problem, "Remove one of the two.")
    networks = SpanIndex(entry.networks)
    for span in entry.onlink_networks:
        network = networks.find(span)
        if network is not None and network.first <= span.first and span.last <= network.last:
            where = f"{relation(span, network)} {network.path} ({network.text})"
            errors.add(span.path, f"{span.text} {where}, which is on the link anyway", "Leave it out.")


def _check_gateways(errors: ErrorCollector, entry: PoolInput) -> None:
    """Refuse gateways that the pool's packets could not be sent to."""
    if not entry.gateways:
        return
    for gateway in _usable_families(errors, entry, entry.gateways, "gateway"):
        # The kernel treats a link-local gateway as on-link, regardless of the routes.
        if gateway.family == IPV4 or gateway.first >> 118 != _LINK_LOCAL_PREFIX:
            _check_host_address(errors, entry, gateway, "gateway")


def _check_addresses(errors: ErrorCollector, entry: PoolInput) -> None:
    """Refuse per-node addresses that the node could not use on the pool's interface."""
    if not entry.addresses:
        return
    gateways = {gateway.text: gateway for gateway in entry.gateways}
    for address in _usable_families(errors, entry, entry.addresses, "address"):
        gateway = gateways.get(address.text)
        if gateway is not None:
            problem = f"{address.text} is the gateway ({gateway.path}), and two hosts cannot have the same address"
            errors.add(address.path, problem, "Give an address that only this node has.")
        else:
            _check_host_address(errors, entry, address, "address")


def _usable_families(errors: ErrorCollector, entry: PoolInput, spans: Iterable[Span], what: str) -> Iterator[Span]:
    """Yield the first span of each family that the pool has networks of; refuse the others."""
    families = {network.family for network in entry.networks}
    seen: dict[str, Span] = {}
    for span in spans:
        name = FAMILY_NAMES[span.family]
        earlier = seen.setdefault(span.family, span)
        if earlier is not span:
            problem = (
                f"{span.text} is a second {name} {what} after {earlier.path} ({earlier.text}), but only one is used"
            )
            errors.add(span.path, problem, "Remove one of them, or declare a second pool for it.")
        elif span.family in families:
            yield span
        elif entry.is_valid("networks"):
            path = f"{entry.pool.path}.networks"
            problem = f"{span.text} is {name}, but {path} has no {name} network"
            errors.add(span.path, problem, f"Remove it, or add an {name} network to {path}.")


def _check_host_address(errors: ErrorCollector, entry: PoolInput, host: Span, what: str) -> None:
    """Refuse an address that is not on the link, or that a host cannot have."""
    containing = [
        span
        for spans in (entry.networks, entry.onlink_networks)
        for span in spans
        if span.family == host.family and span.first <= host.first <= span.last
    ]
    if not containing:
        if entry.is_valid("networks", "onlink_networks"):
            _refuse_outside(errors, entry, host, what)
        return
    for span in containing:
        if span.first == span.last and span in entry.networks:
            problem = f"{host.text} is {span.path}, an address that MetalLB assigns, so it cannot be the {what} as well"
            errors.add(host.path, problem, f"Correct the {what}, or remove the address from the pool.")
            return
    # A smaller network may be a part of the subnet; only the subnet itself has addresses that no host can have.
    subnet = max(containing, key=lambda span: span.last - span.first)
    reason = _why_not_a_host(host, subnet)
    if reason:
        problem = f"{host.text} {reason} of {subnet.path} ({subnet.text})"
        errors.add(host.path, problem, f"Give the {what}'s own address.")


def _why_not_a_host(host: Span, subnet: Span) -> str:
    # A range is not a subnet, and a network of two addresses has hosts on both (RFC 3021, RFC 6164).
    if subnet.is_range or subnet.last - subnet.first < 2:
        return ""
    if host.first == subnet.first:
        return "is the network address" if host.family == IPV4 else "is the anycast address of all routers (RFC 4291)"
    return "is the broadcast address" if host.family == IPV4 and host.first == subnet.last else ""


def _refuse_outside(errors: ErrorCollector, entry: PoolInput, host: Span, what: str) -> None:
    path = entry.pool.path
    problem = f"{host.text} is not inside any of {path}.networks ({_texts(entry.networks, host.family)})"
    onlink = _texts(entry.onlink_networks, host.family)
    if onlink:
        problem += f" or {path}.onlink_networks ({onlink})"
    remedy = f"Correct the {what}, or add the interface's network that contains it to {path}.onlink_networks."
    errors.add(host.path, problem, remedy)


def _texts(spans: Iterable[Span], family: str) -> str:
    return comma_separated(span.text for span in spans if span.family == family)


def _check_case_options(errors: ErrorCollector, entry: PoolInput) -> None:
    """Refuse options that have no effect in the pool's case, and missing gateways that it needs.

    With ``auto``, a pool without gateways becomes a case that uses no table, mark or ``deny``, so these are refused
    there too.
    """
    pool = entry.pool
    if not entry.is_valid("case", "gateways"):
        return
    traits = CASES.get(pool.case)
    if traits is not None:
        for option in traits.options_without_effect:
            if getattr(pool, option):
                remedy = f"Leave {option} out, or declare another case."
                errors.add(f"{pool.path}.{option}", f"it has no effect, because {traits.why_without_effect}", remedy)
        if traits.needs_gateway:
            _require_gateways(errors, entry)
    elif not pool.gateways:
        for option in GATEWAY_OPTIONS:
            if getattr(pool, option):
                problem = f"it has no effect, because {pool.path} has no gateways to route replies through"
                errors.add(f"{pool.path}.{option}", problem, f"Add gateways, or leave {option} out.")


def _require_gateways(errors: ErrorCollector, entry: PoolInput) -> None:
    """Refuse a pool without a gateway for each family of its networks."""
    pool = entry.pool
    with_gateway = {gateway.family for gateway in entry.gateways}
    for family in FAMILIES:
        networks = [span.text for span in entry.networks if span.family == family]
        if networks and family not in with_gateway:
            name = FAMILY_NAMES[family]
            onlink, attached = (AUTO_CASES[one].name for one in (Situation.NO_GATEWAY, Situation.ALREADY_ROUTED))
            errors.add(
                f"{pool.path}.gateways",
                f"there is no {name} gateway, but case {pool.case} routes replies through one, and {pool.path}.networks"
                f" has {name} ({comma_separated(networks)})",
                f"Add one, or declare these networks as a separate pool with case {onlink}, or {attached} if the"
                " node has an address in them.",
            )
