# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a node has to what it should have, as ordered steps; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import NodeError
from ..state import Address, ChainSet, Link, Node, NodeState, Route, Rule, Sysctl
from ..state.chain import native_words
from ..state.family import IPV4
from ..state.step import StateObject, Step


@dataclass(frozen=True)
class Plan:
    """What to do, in order.

    :param steps: first everything that is made or changed, lowest layer first, then what goes, highest layer first.
    :param satisfied: what is wanted and there already, but made by someone else, so that it stays theirs.
    """

    steps: tuple[Step, ...] = ()
    satisfied: tuple[str, ...] = ()


def make_plan(desired: NodeState, node: Node) -> Plan:
    """Return the steps that make ``node`` have ``desired`` and nothing else of ours.

    :raises NodeError: something of another owner stands where ours must go, or hides what is ours.
    """
    _refuse_hidden_chains(node)
    replaced = _replaced_links(desired, node)
    wanted, satisfied = _without_foreign(desired, node)
    clearing = (*_clear_links(replaced, node), *_clear_last_addresses(wanted, node, replaced))
    gone = {(step.kind, step.before) for step in clearing}
    making = (
        *_keyed("file", wanted.files, node.managed.files),
        *_link_steps(wanted, node, replaced),
        *_sysctl_steps(wanted, node, replaced),
        *_raising_steps(wanted, node, replaced),
        *_made("address", wanted.addresses, node.managed.addresses, gone, _plain_order),
        *_route_steps(wanted, node, gone),
        *_chain_steps(wanted, node),
        *_made("rule", wanted.rules, node.managed.rules, gone, _rule_order),
        *_keyed("unit", wanted.units, node.managed.units),
    )
    return Plan((*clearing, *making, *_removal(wanted, node, gone)), satisfied)


# Everything below picks what changes before it sorts: mostly that is nothing, of thousands.


def _plain_order(item: Any) -> Any:
    return item


def _rule_order(rule: Rule) -> Any:
    """Ascending priorities: requests get their rule before replies do, and no packet meets the second without the first."""
    return (rule.priority, rule)


def _route_order(route: Route) -> Any:
    """Networks before gateways: the kernel takes a gateway only if a route of the table reaches it."""
    return (bool(route.gateway), route)


def _replaced_links(desired: NodeState, node: Node) -> frozenset[str]:
    """Return names of our links that must go before others can be made.

    Kind, parent or VLAN id of a wanted link changed, or a link that is no longer wanted has the VLAN that a new one needs.
    """
    wanted = {link.name: link for link in desired.links}
    places = {_place(link) for link in desired.links if link.vlan_id}
    return frozenset(
        link.name
        for link in node.managed.links
        if (not wanted[link.name].same_device(link) if link.name in wanted else _place(link) in places)
    )


def _place(link: Link) -> tuple[str, str, int]:
    """Return what the kernel allows once per parent (vlan_check_real_dev, net/8021q/vlan.c)."""
    return (link.kind, link.parent, link.vlan_id)


def _clear_links(names: frozenset[str], node: Node) -> Iterator[Step]:
    """Yield the deletion of links and of all of ours on them, so that undoing it brings all of it back."""
    if not names:
        return
    managed = node.managed
    layers: tuple[tuple[str, Iterable[Any], Callable[[Any], Any]], ...] = (
        ("route", (item for item in managed.routes if item.interface in names), _route_order),
        ("sysctl", (item for item in managed.sysctls if item.interface in names), _plain_order),
        ("address", (item for item in managed.addresses if item.interface in names), _plain_order),
        ("link", (item for item in managed.links if item.name in names), _plain_order),
    )
    for kind, items, order in layers:
        yield from (Step(kind, item, None) for item in _last_first(items, order))


def _clear_last_addresses(wanted: NodeState, node: Node, replaced: frozenset[str]) -> Iterator[Step]:
    """Yield the deletion of last IPv4 addresses before routes are made, and of our routes that end with them.

    With an interface's last IPv4 address the kernel throws away every IPv4 route over it (fib_disable_ip,
    net/ipv4/fib_frontend.c).
    """
    managed = node.managed
    left = {item.interface for item in (*wanted.addresses, *node.foreign_addresses) if item.family == IPV4}
    ending = [
        item
        for item in _last_first(managed.addresses - wanted.addresses, _plain_order)
        if item.family == IPV4 and item.interface not in left | replaced
    ]
    names = {item.interface for item in ending} & {route.interface for route in wanted.routes if route.family == IPV4}
    routes = (route for route in managed.routes if route.interface in names and route.family == IPV4)
    yield from (Step("route", route, None) for route in _last_first(routes, _route_order))
    yield from (Step("address", item, None) for item in ending if item.interface in names)


def _last_first(items: Iterable[Any], order: Callable[[Any], Any]) -> list[Any]:
    return sorted(items, key=order, reverse=True)


def _without_foreign(desired: NodeState, node: Node) -> tuple[NodeState, tuple[str, ...]]:
    """Return what is left to want once identical objects of other owners are counted as being there.

    :raises NodeError: another owner's object differs from ours and has its place.
    """
    foreign_routes = {route.key: route for route in sorted(node.foreign_routes, reverse=True)}
    satisfied: list[StateObject] = []
    for route in sorted(route for route in desired.routes if route.key in foreign_routes):
        other = foreign_routes[route.key]
        if other == route:
            satisfied.append(route)
        else:
            raise NodeError(
                f'The route "{route}" cannot be made: "{other}" is there already and is not ours.'
                f" Remove that one (ip route del {other}), or declare what it says."
            )
    satisfied += sorted(rule for rule in desired.rules if rule in node.foreign_rules)
    satisfied += sorted(address for address in desired.addresses if address in node.foreign_addresses)
    _refuse_addresses_elsewhere(desired.addresses, node)
    _refuse_foreign_links(desired.links, node)
    if not satisfied:
        return desired, ()
    return desired.without(frozenset(satisfied)), tuple(str(item) for item in satisfied)


def _refuse_foreign_links(links: Iterable[Link], node: Node) -> None:
    for link in sorted(links):
        other = node.interfaces.get(link.name)
        if other is not None and not other.managed:
            raise NodeError(
                f"The link {link} cannot be made: there is a link {link.name} already that is not ours."
                " Remove that one, or give this one another name."
            )


def _refuse_addresses_elsewhere(addresses: Iterable[Address], node: Node) -> None:
    elsewhere = {item.address.partition("/")[0]: item for item in node.foreign_addresses}
    for address in sorted(addresses):
        other = elsewhere.get(address.address.partition("/")[0])
        if other is not None and other != address:
            raise NodeError(
                f"The address {address} cannot be added: this node has it already as {other.address} on {other.interface}."
                " Give the pool's interface an address of its own, or leave addresses out."
            )


def _keyed(kind: str, wanted: Iterable[Any], managed: Iterable[Any]) -> Iterator[Step]:
    """Yield making or change of objects that are replaced as a whole."""
    present = {item.key: item for item in managed}
    for item in sorted(item for item in wanted if present.get(item.key) != item):
        yield Step(kind, present.get(item.key), item)


def _link_steps(wanted: NodeState, node: Node, replaced: frozenset[str]) -> Iterator[Step]:
    """Yield making and changing of links. A new one is made down, so that its settings hold from its first packet on."""
    present = {link.name: link for link in node.managed.links if link.name not in replaced}
    for link in _parents_first(wanted.links):
        before = present.get(link.name)
        after = _with_mtu_of(before, link) if before is not None else replace(link, up=False)
        if before != after:
            yield Step("link", before, after)


def _raising_steps(wanted: NodeState, node: Node, replaced: frozenset[str]) -> Iterator[Step]:
    """Yield what sets new links up."""
    present = {link.name for link in node.managed.links} - replaced
    for link in _parents_first(wanted.links):
        if link.name not in present and link.up:
            yield Step("link", replace(link, up=False), link)


def _parents_first(links: frozenset[Link]) -> list[Link]:
    """A VLAN may stand on another VLAN of ours."""
    by_name = {link.name: link for link in links}

    def depth(link: Link) -> int:
        seen = 0
        while link.parent in by_name and seen < len(by_name):
            link, seen = by_name[link.parent], seen + 1
        return seen

    return sorted(links, key=lambda link: (depth(link), link))


def _with_mtu_of(before: Link, link: Link) -> Link:
    """An MTU that is not declared is whatever the link has."""
    return link if link.mtu else replace(link, mtu=before.mtu)


def _sysctl_steps(wanted: NodeState, node: Node, replaced: frozenset[str]) -> Iterator[Step]:
    managed = {item.name for item in node.managed.sysctls}
    for item in sorted(wanted.sysctls):
        fresh = item.interface in replaced
        present = "" if fresh else node.sysctls.get(item.name, "")
        if present != item.value:
            before = Sysctl(item.name, present) if item.name in managed and not fresh else None
            yield Step("sysctl", before, item)


def _made(
    kind: str, wanted: frozenset[Any], managed: frozenset[Any], gone: set[tuple[str, Any]], order: Callable[[Any], Any]
) -> Iterator[Step]:
    """Yield the making of objects that cannot change: they are there or not."""
    missing = wanted - managed if not gone else {item for item in wanted if item not in managed or (kind, item) in gone}
    yield from (Step(kind, None, item) for item in sorted(missing, key=order))


def _route_steps(wanted: NodeState, node: Node, gone: set[tuple[str, Any]]) -> Iterator[Step]:
    kept = {route for route in node.managed.routes if ("route", route) not in gone} if gone else node.managed.routes
    changing = wanted.routes - kept
    present = {route.key: route for route in kept} if changing else {}
    for route in sorted(changing, key=_route_order):
        yield Step("route", present.get(route.key), route)


def _chain_steps(wanted: NodeState, node: Node) -> Iterator[Step]:
    """Yield one change per variant and family; chains of ours in a variant that is no longer used go."""
    present = {item.key: item for item in node.managed.chains}
    asked = {item.key: item for item in wanted.chains}
    for key in sorted({*present, *asked}):
        before = present.get(key, ChainSet(*key))
        after = asked.get(key, ChainSet(*key))
        if before != after:
            _refuse_native_tables(before, after, node)
            yield Step("chains", before, after)


def _refuse_hidden_chains(node: Node) -> None:
    for family, table in sorted(node.iptables_hidden):
        raise NodeError(
            f"Nothing can be changed while chains of ours cannot be seen: {native_words(family, table)}."
            " Move them there, and run again."
        )


def _refuse_native_tables(before: ChainSet, after: ChainSet, node: Node) -> None:
    """Refuse to write what could not be read again, and so would be written once more with every run."""
    for chain in sorted(before.chains ^ after.chains):
        if after.variant == node.variant and (chain.family, chain.table) in node.iptables_incompatible:
            raise NodeError(
                f"The chain {chain} cannot be changed: {native_words(chain.family, chain.table)}."
                " Move them there, and run again."
            )


def _removal(wanted: NodeState, node: Node, gone: set[tuple[str, Any]]) -> Iterator[Step]:
    """Yield what is ours and no longer wanted, highest layer first."""
    managed = node.managed
    layers: tuple[tuple[str, frozenset[Any], frozenset[Any], Callable[[Any], Any]], ...] = (
        ("unit", managed.units, wanted.units, _plain_order),
        ("rule", managed.rules, wanted.rules, _rule_order),
        ("route", managed.routes, wanted.routes, _route_order),
        ("sysctl", managed.sysctls, wanted.sysctls, _plain_order),
        ("address", managed.addresses, wanted.addresses, _plain_order),
        ("link", managed.links, wanted.links, _plain_order),
        ("file", managed.files, wanted.files, _plain_order),
    )
    for kind, items, stay, order in layers:
        unlike = items - stay
        kept = {item.key for item in stay} if unlike else set()
        leaving = [item for item in unlike if item.key not in kept and (kind, item) not in gone]
        ordered = _parents_first(frozenset(leaving))[::-1] if kind == "link" else _last_first(leaving, order)
        yield from (Step(kind, item, None) for item in ordered)
