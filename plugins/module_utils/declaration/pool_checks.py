# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the options of one pool with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..state.family import FAMILIES, IPV4
from .case_traits import AUTO_CASES, CASES, GATEWAY_OPTIONS, Situation
from .networks import LABELS, Span, SpanIndex, overlapping, relation
from .pools import PoolInput
from .problems import Problems
from .values import listed

_LINK_LOCAL_PREFIX = 0xFE80 >> 6


def check_pool(problems: Problems, entry: PoolInput) -> None:
    """Refuse options of a pool that contradict each other or that its case has no use for."""
    _check_onlink_networks(problems, entry)
    _check_gateways(problems, entry)
    _check_addresses(problems, entry)
    _check_case_options(problems, entry)


def _check_onlink_networks(problems: Problems, entry: PoolInput) -> None:
    """Refuse on-link networks that repeat each other or say what ``networks`` says already.

    One that holds a network of the pool is the usual case: the pool is a piece of the router's subnet.
    """
    if not entry.onlink_networks:
        return
    _note_repeated(problems, entry.onlink_networks)
    networks = SpanIndex(entry.networks)
    for span in entry.onlink_networks:
        network = networks.find(span)
        if network is not None and network.first <= span.first and span.last <= network.last:
            problem = (
                f"{span.text} {relation(span, network)} {network.path} ({network.text}), which is on the link anyway"
            )
            problems.add(span.path, problem, "Leave it out.")


def _check_gateways(problems: Problems, entry: PoolInput) -> None:
    """Refuse gateways that the pool's packets could not be sent to."""
    if not entry.gateways:
        return
    for gateway in _of_declared_families(problems, entry, entry.gateways, "gateway"):
        # The kernel takes a link-local gateway for on-link whatever the routes say.
        if gateway.family == IPV4 or gateway.first >> 118 != _LINK_LOCAL_PREFIX:
            _check_place(problems, entry, gateway, "gateway")


def _check_addresses(problems: Problems, entry: PoolInput) -> None:
    """Refuse per-node addresses that the node could not use on the pool's interface."""
    if not entry.addresses:
        return
    gateways = {gateway.text: gateway for gateway in entry.gateways}
    for address in _of_declared_families(problems, entry, entry.addresses, "address"):
        gateway = gateways.get(address.text)
        if gateway is not None:
            problem = f"{address.text} is the gateway ({gateway.path}), and two hosts cannot have one address"
            problems.add(address.path, problem, "Give an address that only this node has.")
        else:
            _check_place(problems, entry, address, "address")


def _of_declared_families(problems: Problems, entry: PoolInput, spans: Iterable[Span], what: str) -> Iterator[Span]:
    """Yield the spans whose family is one of the pool's, the first of each family."""
    families = {network.family for network in entry.networks}
    seen: dict[str, Span] = {}
    for span in spans:
        label = LABELS[span.family]
        earlier = seen.setdefault(span.family, span)
        if earlier is not span:
            problem = (
                f"{span.text} is a second {label} {what} beside {earlier.path} ({earlier.text}), but only one is used"
            )
            problems.add(span.path, problem, "Leave one of them out, or declare a second pool for it.")
        elif span.family in families:
            yield span
        elif entry.sound("networks"):
            problem = f"{span.text} is {label}, but {entry.pool.path}.networks has no {label} network"
            problems.add(span.path, problem, f"Leave it out, or add an {label} network to {entry.pool.path}.networks.")


def _check_place(problems: Problems, entry: PoolInput, host: Span, what: str) -> None:
    """Refuse a host that is not on the link, or whose address cannot be a host's."""
    holders = [
        span
        for spans in (entry.networks, entry.onlink_networks)
        for span in spans
        if span.family == host.family and span.first <= host.first <= span.last
    ]
    if not holders:
        if entry.sound("networks", "onlink_networks"):
            _note_outside(problems, entry, host, what)
        return
    for span in holders:
        if span.first == span.last and span in entry.networks:
            problem = (
                f"{host.text} is {span.path}, an address that MetalLB hands out, so it cannot be the {what} as well"
            )
            problems.add(host.path, problem, f"Correct the {what}, or take the address out of the pool.")
            return
    # A smaller network may be a piece of the subnet; only the subnet itself has addresses that no host can have.
    subnet = max(holders, key=lambda span: span.last - span.first)
    flaw = _flaw_in_subnet(host, subnet)
    if flaw:
        problems.add(
            host.path, f"{host.text} {flaw} of {subnet.path} ({subnet.text})", f"Give the {what}'s own address."
        )


def _flaw_in_subnet(host: Span, subnet: Span) -> str:
    # A range is no subnet, and a network of two addresses has hosts on both (RFC 3021, RFC 6164).
    if subnet.is_range or subnet.last - subnet.first < 2:
        return ""
    if host.first == subnet.first:
        return "is the network address" if host.family == IPV4 else "is the anycast address of all routers (RFC 4291)"
    return "is the broadcast address" if host.family == IPV4 and host.first == subnet.last else ""


def _note_outside(problems: Problems, entry: PoolInput, host: Span, what: str) -> None:
    path = entry.pool.path
    problem = f"{host.text} is not inside any of {path}.networks ({_texts(entry.networks, host.family)})"
    onlink = _texts(entry.onlink_networks, host.family)
    if onlink:
        problem += f" or {path}.onlink_networks ({onlink})"
    remedy = f"Correct the {what}, or add the network of the interface that holds it to {path}.onlink_networks."
    problems.add(host.path, problem, remedy)


def _texts(spans: Iterable[Span], family: str) -> str:
    return listed(span.text for span in spans if span.family == family)


def _note_repeated(problems: Problems, spans: tuple[Span, ...]) -> None:
    for later, earlier in overlapping(spans):
        problem = f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text})"
        problems.add(later.path, problem, "Leave one of the two out.")


def _check_case_options(problems: Problems, entry: PoolInput) -> None:
    """Refuse options that the pool's case has no use for, and the lack of gateways that it needs."""
    pool = entry.pool
    if not entry.sound("case", "gateways"):
        return
    traits = CASES.get(pool.case)
    if traits is not None:
        for option in traits.options_without_effect:
            if getattr(pool, option):
                remedy = f"Leave {option} out, or declare another case."
                problems.add(f"{pool.path}.{option}", f"it has no effect, because {traits.why_without_effect}", remedy)
        if traits.needs_gateway:
            _check_gateway_for_each_family(problems, entry)
    elif not pool.gateways:
        for option in GATEWAY_OPTIONS:
            if getattr(pool, option):
                problem = f"it has no effect, because {pool.path} has no gateways to route replies through"
                problems.add(f"{pool.path}.{option}", problem, f"Add gateways, or leave {option} out.")


def _check_gateway_for_each_family(problems: Problems, entry: PoolInput) -> None:
    pool = entry.pool
    with_gateway = {gateway.family for gateway in entry.gateways}
    for family in FAMILIES:
        networks = [span.text for span in entry.networks if span.family == family]
        if networks and family not in with_gateway:
            label = LABELS[family]
            onlink, attached = (AUTO_CASES[one].name for one in (Situation.NO_GATEWAY, Situation.ALREADY_ROUTED))
            problems.add(
                f"{pool.path}.gateways",
                f"there is no {label} gateway, but case {pool.case} sends replies through one, and {pool.path}.networks"
                f" has {label} ({listed(networks)})",
                f"Add one, or declare these networks as a pool of their own with case {onlink}, or {attached} where"
                " the node is in them.",
            )
