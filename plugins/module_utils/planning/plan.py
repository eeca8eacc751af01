# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the current to the desired state of a node, as ordered steps; pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import NodeError
from ..state import Address, ChainSet, Link, Node, NodeState, Sysctl
from ..state.chain import unreadable_table
from ..state.family import IPV4
from ..state.kinds import ADDRESS, CHAINS, KINDS, LINK, ROUTE, RULE, SYSCTL, Kind
from ..state.step import StateObject, Step


@dataclass(frozen=True)
class Plan:
    """What to do, in order.

    :param steps: removals that others depend on, then additions and changes in the order of the registry of kinds, then the
        other removals in reverse.
    :param satisfied: desired objects that already exist and are foreign; they are left unchanged.
    """

    steps: tuple[Step, ...] = ()
    satisfied: tuple[str, ...] = ()


def make_plan(desired: NodeState, node: Node) -> Plan:
    """Return the steps that give ``node`` all of ``desired`` and leave no other managed object on it.

    :raises NodeError: a foreign object is in the way, or managed chains cannot be read.
    """
    _refuse_hidden_chains(node)
    desired, satisfied = _without_foreign(desired, node)
    replaced = _steps_to_remove_links(_replaced_links(desired, node), node)
    node = _after_removal(replaced, node)
    last_addresses = _steps_to_remove_last_addresses(desired, node)
    node = _after_removal(last_addresses, node)
    return Plan((*replaced, *last_addresses, *_changes(desired, node), *_removals(desired, node)), satisfied)


def _without_foreign(desired: NodeState, node: Node) -> tuple[NodeState, tuple[str, ...]]:
    """Return the desired state without what foreign objects already provide, and those objects.

    :raises NodeError: a foreign object differs from a desired one of the same key.
    """
    foreign_routes = {route.key: route for route in sorted(node.foreign_routes, reverse=True)}
    satisfied: list[StateObject] = []
    for route in sorted(route for route in desired.routes if route.key in foreign_routes):
        other = foreign_routes[route.key]
        if other != route:
            raise NodeError(
                f'The route "{route}" cannot be added: "{other}" already exists and is managed by someone else.'
                f" Remove it (ip route del {other}), or declare the same route."
            )
        satisfied.append(route)
    satisfied += sorted(rule for rule in desired.rules if rule in node.foreign_rules)
    satisfied += sorted(address for address in desired.addresses if address in node.foreign_addresses)
    _refuse_addresses_elsewhere(desired.addresses, node)
    _refuse_foreign_links(desired.links, node)
    left = desired.without(frozenset(satisfied)) if satisfied else desired
    return left, tuple(str(item) for item in satisfied)


def _refuse_foreign_links(links: Iterable[Link], node: Node) -> None:
    for link in sorted(links):
        other = node.interfaces.get(link.name)
        if other is not None and not other.managed:
            raise NodeError(
                f"The link {link} cannot be added: {link.name} already exists and is managed by someone else."
                " Remove it, or declare another name."
            )


def _refuse_addresses_elsewhere(addresses: Iterable[Address], node: Node) -> None:
    elsewhere = {item.address.partition("/")[0]: item for item in node.foreign_addresses}
    for address in sorted(addresses):
        other = elsewhere.get(address.address.partition("/")[0])
        if other is not None and other != address:
            raise NodeError(
                f"The address {address} cannot be added: the node already has {other.address} on {other.interface}."
                " Declare an address that the node does not have yet, or none."
            )


def _refuse_hidden_chains(node: Node) -> None:
    for family, table in sorted(node.iptables_hidden):
        raise NodeError(
            f"Nothing can be changed while managed chains cannot be read: {unreadable_table(family, table)}."
            " Move those rules to a separate table, and run again."
        )


# What has to be removed before anything is added


def _replaced_links(desired: NodeState, node: Node) -> frozenset[str]:
    """Return the names of managed links that are in the way of desired ones.

    The kind, parent or VLAN ID of a desired link changed, or a link that is no longer desired has the VLAN that a new link
    needs.
    """
    links = {link.name: link for link in desired.links}
    vlans = {_vlan(link) for link in desired.links if link.vlan_id}
    return frozenset(
        link.name
        for link in node.managed.links
        if (not links[link.name].same_device(link) if link.name in links else _vlan(link) in vlans)
    )


def _vlan(link: Link) -> tuple[str, str, int]:
    """Return what the kernel allows once per parent (vlan_check_real_dev, net/8021q/vlan.c)."""
    return (link.kind, link.parent, link.vlan_id)


def _steps_to_remove_links(names: frozenset[str], node: Node) -> tuple[Step, ...]:
    """Return the removal of links and of everything managed on them, so that a rollback creates all of it again."""
    if not names:
        return ()
    on_links = {
        kind: [item for item in node.managed.of(kind) if item.interface in names] for kind in KINDS if kind.on_link
    }
    on_links[LINK] = [link for link in node.managed.links if link.name in names]
    return tuple(step for kind in reversed(KINDS) for step in _removal(kind, on_links.get(kind, ())))


def _steps_to_remove_last_addresses(desired: NodeState, node: Node) -> tuple[Step, ...]:
    """Return the removal of last IPv4 addresses, and of the managed routes over the same links, where routes are desired.

    With the last IPv4 address of a link the kernel deletes every IPv4 route over it (fib_disable_ip,
    net/ipv4/fib_frontend.c), the new ones too.
    """
    managed = node.managed
    staying = {item.interface for item in (*desired.addresses, *node.foreign_addresses) if item.family == IPV4}
    leaving = [
        item for item in managed.addresses - desired.addresses if item.family == IPV4 and item.interface not in staying
    ]
    names = {item.interface for item in leaving} & {route.interface for route in desired.routes if route.family == IPV4}
    routes = [route for route in managed.routes if route.interface in names and route.family == IPV4]
    return (*_removal(ROUTE, routes), *_removal(ADDRESS, [item for item in leaving if item.interface in names]))


def _after_removal(steps: Sequence[Step], node: Node) -> Node:
    """Return the node as it is after steps that only remove."""
    if not steps:
        return node
    removed = frozenset(step.before for step in steps)
    links = {item.name for item in removed if isinstance(item, Link)}
    sysctls = {name: value for name, value in node.sysctls.items() if Sysctl(name, value).interface not in links}
    return replace(node, managed=node.managed.without(removed), sysctls=sysctls)


# Additions and changes. Each selects what differs before it sorts: usually nothing out of thousands of objects.


def _changes(desired: NodeState, node: Node) -> Iterator[Step]:
    for kind in KINDS:
        if kind is LINK:
            yield from _link_changes(desired, node)
        elif kind is SYSCTL:
            yield from _sysctl_changes(desired, node)
            yield from _raised_links(desired, node)
        elif kind is CHAINS:
            yield from _chain_changes(desired, node)
        else:
            yield from _object_changes(kind, desired, node)


def _object_changes(kind: Kind, desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield the steps of a kind whose objects are replaced as a whole; if all fields are the key, it is only added."""
    changing = desired.of(kind) - node.managed.of(kind)
    current = {item.key: item for item in node.managed.of(kind)} if changing else {}
    for item in _in_order(kind, changing):
        yield Step(kind.name, current.get(item.key), item)


def _link_changes(desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield the additions and changes of links. A new link is down until its sysctls are set."""
    current = {link.name: link for link in node.managed.links}
    for link in _parents_first(desired.links):
        before = current.get(link.name)
        after = replace(link, up=False) if before is None else _with_mtu_of(before, link)
        if before != after:
            yield Step(LINK.name, before, after)


def _with_mtu_of(before: Link, link: Link) -> Link:
    """Return the link with the current MTU where none is declared."""
    return link if link.mtu else replace(link, mtu=before.mtu)


def _raised_links(desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield the steps that set new links up."""
    current = {link.name for link in node.managed.links}
    for link in _parents_first(desired.links):
        if link.name not in current and link.up:
            yield Step(LINK.name, replace(link, up=False), link)


def _sysctl_changes(desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield the steps to settings whose current value differs, managed or not."""
    managed = {item.name for item in node.managed.sysctls}
    for item in sorted(item for item in desired.sysctls if node.sysctls.get(item.name, "") != item.value):
        before = Sysctl(item.name, node.sysctls.get(item.name, "")) if item.name in managed else None
        yield Step(SYSCTL.name, before, item)


def _chain_changes(desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield one change per variant and family."""
    return (step for step in _all_chain_changes(desired, node) if not _empties(step))


def _empties(step: Step) -> bool:
    """Whether all chains of a set are removed."""
    return isinstance(step.after, ChainSet) and not step.after.chains


def _all_chain_changes(desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield one change per variant and family, removals included: a set of chains that is not desired becomes empty."""
    current_sets = {item.key: item for item in node.managed.chains}
    desired_sets = {item.key: item for item in desired.chains}
    for key in sorted({*current_sets, *desired_sets}):
        empty = ChainSet(key.variant, key.family)
        before, after = current_sets.get(key, empty), desired_sets.get(key, empty)
        if before != after:
            _refuse_unreadable_tables(before, after, node)
            yield Step(CHAINS.name, before, after)


def _refuse_unreadable_tables(before: ChainSet, after: ChainSet, node: Node) -> None:
    """Refuse to write to a table that cannot be read back: every run would write it again."""
    for chain in sorted(before.chains ^ after.chains):
        if after.variant == node.variant and (chain.family, chain.table) in node.iptables_incompatible:
            raise NodeError(
                f"The chain {chain} cannot be changed: {unreadable_table(chain.family, chain.table)}."
                " Move those rules to a separate table, and run again."
            )


# Removals


def _removals(desired: NodeState, node: Node) -> Iterator[Step]:
    """Yield the removal of managed objects that are not desired, in the reverse order of the registry."""
    for kind in reversed(KINDS):
        if kind is CHAINS:
            # Right after the rules: in between, packets have marks that lead nowhere.
            yield from (step for step in _all_chain_changes(desired, node) if _empties(step))
        else:
            leaving = node.managed.of(kind) - desired.of(kind)
            keys = {item.key for item in desired.of(kind)} if leaving else set()
            yield from _removal(kind, [item for item in leaving if item.key not in keys])


def _removal(kind: Kind, items: Collection[Any]) -> Iterator[Step]:
    return (Step(kind.name, item, None) for item in reversed(_in_order(kind, items)))


# Order within a kind


def _in_order(kind: Kind, items: Collection[Any]) -> list[Any]:
    """Return objects of one kind in the order in which they are added."""
    return _parents_first(items) if kind is LINK else sorted(items, key=_ORDER.get(kind.name))


def _parents_first(links: Collection[Link]) -> list[Link]:
    """Return the links in the order in which they can be added: a VLAN may be on another managed VLAN."""
    by_name = {link.name: link for link in links}

    def depth(link: Link) -> int:
        seen = 0
        while link.parent in by_name and seen < len(by_name):
            link, seen = by_name[link.parent], seen + 1
        return seen

    return sorted(links, key=lambda link: (depth(link), link))


_ORDER: Mapping[str, Callable[[Any], Any]] = {
    # Networks before gateways: the kernel takes a gateway only if a route of the table reaches it.
    ROUTE.name: lambda route: (bool(route.gateway), route),
    # Targets of a goto first, because the kernel ignores a goto without its target. Then ascending priorities: requests match
    # before replies do, so that no packet meets the second rule without the first.
    RULE.name: lambda rule: (rule.action != "nop", rule.priority, rule),
}
