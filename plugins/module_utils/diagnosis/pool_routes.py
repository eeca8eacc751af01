# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the packets of pools are routed, read from the desired state and the cases of the pools; pure.

Both are in the state file, so the agent and the commands on the node need nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..state import NodeState, Route, Rule
from ..state.family import FAMILIES, family_of
from ..state.lookup import NetworkLookup
from ..state.route import MAIN_TABLE
from ..state.route_lookup import RouteAnswer

#: What the kernel answers for a route of these types (``fib_props``, net/ipv4/fib_semantics.c).
_LEADING_NOWHERE = ("unreachable", "blackhole", "prohibit")


@dataclass(frozen=True)
class PoolRoutes:
    """The routing of the pools of one link and table, in one family.

    :param pools: their names.
    :param interface: the link on which requests arrive.
    :param table: for replies; 0 if they are routed as all packets are.
    :param mark: of replies, 0 if they have none.
    :param request_mark: of requests, 0 if they have none.
    :param sources: networks whose packets the table routes although they have no mark.
    :param bound: networks that sockets bound to the link reach through the table.
    :param networks: the pools' networks.
    :param gateway: the pools' gateway, ``""`` for none.
    :param on_link: the networks on the link.
    :param cluster: networks that the table does not route.
    """

    family: str
    pools: tuple[str, ...]
    interface: str
    table: int = 0
    mark: int = 0
    request_mark: int = 0
    sources: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    gateway: str = ""
    on_link: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    routes: frozenset[Route] = field(default=frozenset(), repr=False)

    def expected(self, destination: str) -> RouteAnswer | None:
        """Return where the table leads, None if it does not route the destination or leads nowhere."""
        found = self._lookup().longest(destination)
        if found is None or found.type == "throw" or found.type in _LEADING_NOWHERE:
            return None
        return RouteAnswer(found.type, found.interface, found.gateway)

    def _lookup(self) -> NetworkLookup[Route]:
        return NetworkLookup(
            (route.destination, route) for route in sorted(self.routes, key=lambda route: (route.metric, route))
        )


def routes_of_pools(desired: NodeState, cases: Iterable[Mapping[str, Any]]) -> tuple[PoolRoutes, ...]:
    """Return the routing of all pools, those with the same table together.

    :param cases: of the state file.
    """
    by_table: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for case in cases:
        by_table.setdefault((str(case["interface"]), int(case.get("table", 0))), []).append(case)
    routes: dict[tuple[str, int], list[Route]] = {}
    for route in desired.routes:
        routes.setdefault((route.family, route.table), []).append(route)
    rules: dict[tuple[str, int], list[Rule]] = {}
    for rule in desired.rules:
        rules.setdefault((rule.family, rule.table), []).append(rule)
    found = []
    for (interface, table), members in by_table.items():
        for family in FAMILIES:
            here = frozenset(routes.get((family, table or MAIN_TABLE), ()))
            if not table:
                found += [_of_main(family, case, here) for case in members if _networks([case], family)]
            elif here and rules.get((family, table)):
                skipping = (rule for rule in rules.get((family, 0), ()) if rule.iif == interface and rule.goto)
                found.append(_of_table(family, interface, members, here, rules[family, table], skipping))
    return tuple(found)


def _of_table(
    family: str,
    interface: str,
    cases: Sequence[Mapping[str, Any]],
    routes: frozenset[Route],
    rules: Sequence[Rule],
    skipping: Iterable[Rule],
) -> PoolRoutes:
    """Return the routing of the pools of one table.

    :param routes: in the table.
    :param rules: that look it up.
    :param skipping: the rules by which packets from the link skip others. Their mark is that of requests, which is another
        than that of replies on shared links.
    """
    marks = {rule.fwmark for rule in rules if rule.fwmask and not rule.iif}
    requests = min((rule.fwmark for rule in skipping if rule.fwmark in marks), default=0)
    return PoolRoutes(
        family,
        tuple(str(case["pool"]) for case in cases),
        interface,
        rules[0].table,
        min(marks - {requests}, default=requests),
        requests,
        tuple(sorted(rule.source for rule in rules if rule.source and not rule.fwmask)),
        tuple(sorted(rule.destination for rule in rules if rule.oif == interface)),
        _networks(cases, family),
        next((route.gateway for route in routes if route.is_default and route.gateway), ""),
        tuple(sorted(route.destination for route in routes if route.interface and not route.gateway)),
        tuple(sorted(route.destination for route in routes if route.type == "throw")),
        routes,
    )


def _of_main(family: str, case: Mapping[str, Any], routes: Iterable[Route]) -> PoolRoutes:
    """Return the routing of a pool whose replies are routed as all packets are.

    :param routes: the managed ones of the main table.
    """
    interface = str(case["interface"])
    gateways = (str(gateway) for gateway in case.get("gateways", ()))
    return PoolRoutes(
        family,
        (str(case["pool"]),),
        interface,
        networks=_networks([case], family),
        gateway=next((gateway for gateway in gateways if family_of(gateway) == family), ""),
        routes=frozenset(route for route in routes if route.interface == interface),
    )


def _networks(cases: Iterable[Mapping[str, Any]], family: str) -> tuple[str, ...]:
    listed = (str(network) for case in cases for network in case.get("networks", ()))
    return tuple(dict.fromkeys(network for network in listed if family_of(network) == family))
