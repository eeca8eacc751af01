# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign filters that drop requests of pools because of their source; pure but for the questions that it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..state import Node
from ..state.family import IPV6, NFPROTO
from ..state.packet_filter import (
    ICMP_TYPE,
    PROTOCOL,
    ArrivingPacket,
    FilterChain,
    FilterRule,
    SourceCheck,
    dropped_by,
)
from ..state.route_lookup import RouteAnswer, RouteQuestion
from .endpoints import on_link_client, outside_clients
from .finding import Finding
from .pool_routes import PoolRoutes

SOURCE_FILTER, NEIGHBOUR_FILTER = "source-filter", "neighbour-filter"
_TCP, _UDP, _ICMPV6, _NEIGHBOUR_ADVERTISEMENT = 6, 17, 58, 136

Ask = Callable[[Iterable[RouteQuestion]], Mapping[RouteQuestion, RouteAnswer]]


@dataclass(frozen=True)
class _Arriving:
    """A packet that the pools need, from another host.

    :param what: for messages.
    """

    routes: PoolRoutes
    source: str
    what: str
    mark: int
    is_advertisement: bool = False

    def question(self, check: SourceCheck, *, uses_mark: bool) -> RouteQuestion:
        """Return the question that the check asks the kernel."""
        oif = self.routes.interface if check.bound and self.routes.family == IPV6 else ""
        return RouteQuestion(self.routes.family, self.source, mark=self.mark if uses_mark else 0, oif=oif)


def filter_findings(
    pools: Iterable[PoolRoutes], chains: Sequence[FilterChain], node: Node, ask: Ask
) -> Iterator[Finding]:
    """Yield the rules that drop what pools need.

    :param chains: all foreign ones of the tables that check sources.
    """
    arriving = [packet for routes in pools if routes.mark for packet in _arriving(routes, node)] if chains else []
    checks = [SourceCheck(uses_mark=False, strict=True, missing=True, bound=bound) for bound in (False, True)]
    answers = ask(
        packet.question(check, uses_mark=uses_mark)
        for packet in arriving
        for check in checks
        for uses_mark in (False, True)
    )
    found: dict[tuple[FilterChain, FilterRule, PoolRoutes, bool], list[_Arriving]] = {}
    for packet in arriving:
        for chain, rule in dropped_by(_seen_by_rules(packet, answers), chains):
            found.setdefault((chain, rule, packet.routes, packet.is_advertisement), []).append(packet)
    for (chain, rule, _routes, _is_advertisement), packets in found.items():
        yield _finding(chain, rule, packets)


def _arriving(routes: PoolRoutes, node: Node) -> Iterator[_Arriving]:
    mark = routes.request_mark or routes.mark
    outside = outside_clients(routes, node)[:1] if routes.gateway else ()
    on_link = on_link_client(routes.on_link, routes, node)
    for client in (*outside, *([on_link] if on_link else [])):
        yield _Arriving(routes, client, f"requests from {client}", mark)
    if routes.family == IPV6 and routes.gateway and not routes.gateway.startswith("fe80:"):
        what = f"neighbour advertisements of the gateway {routes.gateway}"
        yield _Arriving(routes, routes.gateway, what, 0, is_advertisement=True)


def _seen_by_rules(packet: _Arriving, answers: Mapping[RouteQuestion, RouteAnswer]) -> ArrivingPacket:
    routes = packet.routes

    def has_way_back(check: SourceCheck, uses_mark: bool) -> bool:  # noqa: FBT001 - a callback
        answer = answers[packet.question(check, uses_mark=uses_mark)]
        return not answer.refusal and (not check.strict or answer.interface == routes.interface)

    protocols = (_ICMPV6,) if packet.is_advertisement else (_TCP, _UDP)
    types = (_NEIGHBOUR_ADVERTISEMENT,) if packet.is_advertisement else ()
    values = {"family": (NFPROTO[routes.family],), PROTOCOL: protocols, ICMP_TYPE: types}
    return ArrivingPacket(routes.family, routes.interface, values, packet.mark, has_way_back)


def _finding(chain: FilterChain, rule: FilterRule, packets: Sequence[_Arriving]) -> Finding:
    routes = packets[0].routes
    link = routes.interface
    what = " and ".join(packet.what for packet in packets)
    cause = f'the rule "{rule.text}" in {chain}, which is managed by someone else, drops {what} that arrive on {link}'
    if packets[0].is_advertisement:
        networks = " ".join(routes.on_link[:1])
        return Finding(
            NEIGHBOUR_FILTER,
            routes.pools,
            f"{cause}: they carry no mark, and without one the route to it does not lead over {link}",
            remedy=(
                f"Accept nd-neighbor-advert before the rule, or, if no rule of the node leads elsewhere before the main table, add"
                f" the route to it (ip -6 route add {networks} dev {link})."
            ),
        )
    uses_mark = rule.check is not None and rule.check.uses_mark
    early = uses_mark and not chain.sees_marks
    reason = "where packets have no mark" if early else "without the mark"
    return Finding(
        SOURCE_FILTER,
        routes.pools,
        f"{cause}: it looks up the route to their source {reason}, and that does not lead over {link}",
        remedy=_remedy(chain, rule, link),
    )


def _remedy(chain: FilterChain, rule: FilterRule, link: str) -> str:
    if "rpfilter" in rule.text:
        return f"Exempt the link (! -i {link}), or use -m rpfilter --validmark in the table mangle."
    exempt = f'Exempt the link (iifname != "{link}")'
    if chain.sees_marks:
        return f"{exempt}, or take the mark into account (fib saddr . mark . iif)."
    return f"{exempt}, or take the mark into account (fib saddr . mark . iif) in a chain with a priority above -150."
