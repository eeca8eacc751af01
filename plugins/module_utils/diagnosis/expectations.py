# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the packets of pools must go: questions to the kernel with the answers that they must have; pure.

Under DNAT a reply is routed while its source is still the endpoint's, and a request while its destination is already the
endpoint's. So the questions are about endpoints, with the marks that the packets have at that moment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..state import Node
from ..state.family import covering
from ..state.route_lookup import RouteAnswer, RouteQuestion
from .endpoints import Endpoint, on_link_client, outside_clients, own_addresses
from .pool_routes import PoolRoutes

REPLY, REQUEST, BOUND, ANY_ROUTE, ON_LINK = "reply", "request", "bound", "any-route", "on-link"
FULLY_ASKED = 8  # tables about which everything is asked; of the others, the first endpoint
_UID_RANGE = "FRA_UID_RANGE"  # of a rule: two numbers of 32 bits


@dataclass(frozen=True)
class Expectation:
    """A question and the answer that it must have.

    :param kind: what kind of packet it is.
    :param packet: what it is, for messages.
    :param pools: the names of the pools that need the answer.
    :param expected: None for any route.
    """

    kind: str
    question: RouteQuestion
    packet: str
    pools: tuple[str, ...]
    table: int
    expected: RouteAnswer | None


Answers = Mapping[RouteQuestion, RouteAnswer]


def unmarked(endpoint: Endpoint, routes: PoolRoutes, client: str) -> tuple[RouteQuestion, ...]:
    """Return questions about a packet to an endpoint that is none of the pools': the first answer that is a route counts.

    The second is for IPv4, where a forwarded packet without a mark may not pass the link's source validation.
    """
    forwarded = RouteQuestion(routes.family, endpoint.address, client, routes.interface)
    return (forwarded, RouteQuestion(routes.family, endpoint.address))


def route_of_unmarked(questions: Iterable[RouteQuestion], answers: Answers) -> RouteAnswer | None:
    """Return the route of a packet without a mark, None if it has none."""
    return next((answers[one] for one in questions if one in answers and not answers[one].refusal), None)


def expectations(
    routes: PoolRoutes, endpoints: Sequence[Endpoint], answers: Answers, node: Node, *, fully: bool = True
) -> Iterator[Expectation]:
    """Yield what must hold of the pools.

    :param answers: to the questions of :func:`unmarked`.
    :param fully: ask about every endpoint.
    """
    if not routes.table:
        yield from _of_main(routes, node)
        return
    for network in routes.bound:
        client = on_link_client([network], routes, node)
        if client:
            question = RouteQuestion(routes.family, client, oif=routes.interface)
            packet = f"an answer of the speaker to {client}"
            yield _expectation(BOUND, question, packet, routes, RouteAnswer("unicast", routes.interface))
    clients = [(one, found) for one in _clients(routes, node) for found in [routes.expected(one)] if found]
    if clients:
        yield from _of_sources(routes, clients, node)
    if clients and routes.mark:
        chosen = endpoints if fully else endpoints[:1]
        yield from _of_marks(routes, chosen, clients, answers, node)


def _expectation(
    kind: str, question: RouteQuestion, packet: str, routes: PoolRoutes, expected: RouteAnswer | None
) -> Expectation:
    return Expectation(kind, question, packet, routes.pools, routes.table, expected)


def _clients(routes: PoolRoutes, node: Node) -> tuple[str, ...]:
    """Return clients: outside ones first, then one on the link, and the gateway."""
    outside = outside_clients(routes, node) if routes.gateway else ()
    on_link = on_link_client(routes.on_link, routes, node)
    gateway = "" if routes.gateway.startswith("fe80:") else routes.gateway
    return tuple(client for client in (*outside, on_link, gateway) if client)


def _of_main(routes: PoolRoutes, node: Node) -> Iterator[Expectation]:
    """Yield that clients in the pools' own networks are reached over the link, and others through the gateway, if declared."""
    networks = [route.destination for route in routes.routes if not route.gateway] or routes.networks
    client = on_link_client(networks, routes, node)
    if client:
        expected = RouteAnswer("unicast", routes.interface)
        question = RouteQuestion(routes.family, client)
        yield _expectation(ON_LINK, question, f"a packet to {client} on the link", routes, expected)
    outside = outside_clients(routes, node)[:1] if routes.gateway else ()
    for one in outside:
        expected = RouteAnswer("unicast", routes.interface, routes.gateway)
        yield _expectation(REPLY, RouteQuestion(routes.family, one), f"a reply to {one}", routes, expected)


def _of_sources(routes: PoolRoutes, clients: Sequence[tuple[str, RouteAnswer]], node: Node) -> Iterator[Expectation]:
    """Yield the replies of sockets that are bound to an address of the pools, which is an address of the node, too."""
    bound = [one for one in own_addresses(routes.family, node, ()) if covering(routes.networks, one)]
    for source in bound[:1]:
        mark = 0 if covering(routes.sources, source) else routes.mark
        for client, expected in clients:
            question = RouteQuestion(routes.family, client, source, mark=mark)
            yield _expectation(REPLY, question, f"a reply from {source} to {client}", routes, expected)


def _of_marks(
    routes: PoolRoutes,
    endpoints: Sequence[Endpoint],
    clients: Sequence[tuple[str, RouteAnswer]],
    answers: Answers,
    node: Node,
) -> Iterator[Expectation]:
    asked_all_clients = False
    outside = clients[0][0]
    for endpoint in endpoints:
        path = route_of_unmarked(unmarked(endpoint, routes, outside), answers)
        if path is None or (path.type == "unicast" and endpoint.is_own):
            continue
        chosen = clients[:1] if asked_all_clients else clients
        if endpoint.is_own:
            yield from _of_own_sockets(routes, endpoint, clients, node)
        elif path.type == "unicast":
            asked_all_clients = True
            for client, expected in chosen:
                question = RouteQuestion(routes.family, client, endpoint.address, path.interface, routes.mark)
                yield _expectation(REPLY, question, f"a reply of {endpoint.address} to {client}", routes, expected)
        if routes.request_mark:
            question = RouteQuestion(
                routes.family, endpoint.address, outside, routes.interface, mark=routes.request_mark
            )
            yield _expectation(
                REQUEST, question, f"a request of {outside} to the endpoint {endpoint.address}", routes, path
            )


def _of_own_sockets(
    routes: PoolRoutes, endpoint: Endpoint, clients: Sequence[tuple[str, RouteAnswer]], node: Node
) -> Iterator[Expectation]:
    """Yield replies of processes of the node: first any route, as they get their mark only after they are routed."""
    for uid in (0, *_uids(routes.family, node)):
        for client, expected in clients if not uid else clients[:1]:
            first = RouteQuestion(routes.family, client, endpoint.address, uid=uid)
            packet = f"a reply of the node's own {endpoint.address} to {client}"
            if client == clients[0][0]:
                yield _expectation(ANY_ROUTE, first, packet, routes, None)
            question = RouteQuestion(routes.family, client, endpoint.address, mark=routes.mark, uid=uid)
            yield _expectation(REPLY, question, packet, routes, expected)


def _uids(family: str, node: Node) -> list[int]:
    """Return a user of each foreign rule that is for some users only."""
    found = set()
    for rule in node.foreign_rules:
        value = dict(rule.extra).get(_UID_RANGE, b"") if rule.family == family else b""
        if isinstance(value, bytes) and len(value) == 8:
            found.add(int.from_bytes(value[:4], sys.byteorder))
    return sorted(found - {0})[:4]
