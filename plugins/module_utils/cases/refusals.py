# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused on this node before anything is written: input that could cut it off or take what is not ours."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..declaration.model import Declaration, Pool, Settings
from ..declaration.settings import HIGHEST_PRIORITY
from ..errors import InputError, InputErrors
from ..state import Interface, Node, Rule
from ..state.chain import native_words
from ..state.family import IPV6, family_of
from ..state.link import PROVIDER_VLAN
from ..state.lookup import AddressLookup
from ..state.node import IPVS_LINKS
from .facts import effective_mode, is_link_local, why_vital
from .links import disable_ipv6_name
from .model import Choice, Group
from .recipe import END, UNMARKED

RANGES_HELP = 'Declare only the addresses MetalLB hands out, as a smaller network or a range "first-last".'
OUR_TABLES = ("mangle", "raw")
PROGRAMS = {"ipv4": "iptables", "ipv6": "ip6tables"}
WHOLE_MARK = 0xFFFFFFFF


def refuse(errors: Iterable[InputError]) -> None:
    """Raise all errors together, if there are any."""
    found = tuple(errors)
    if found:
        raise InputErrors(found)


def before_choosing(declaration: Declaration, node: Node) -> Iterator[InputError]:
    """Yield what is wrong whatever the cases will be."""
    checks: tuple[Callable[[Pool, Declaration, Node], Iterator[InputError]], ...] = (
        _interface,
        _vlan,
        _ipv6,
        _OwnAddresses(declaration, node).refusals,
        _dedicated,
    )
    yield from _replaced_kube_proxy(declaration, node)
    yield from _mask_in_use(declaration.settings, node)
    yield from _priorities_in_use(declaration.settings, node)
    yield from _before_local_table(declaration, node)
    for pool in declaration.pools:
        for check in checks:
            yield from check(pool, declaration, node)


def after_grouping(groups: Iterable[Group], node: Node) -> Iterator[InputError]:
    """Yield tables that are taken: by another group of ours, or by routes that are not ours."""
    owners: dict[int, Group] = {}
    marked: dict[int, Group] = {}
    foreign = {route.table: route for route in sorted(node.foreign_routes, reverse=True)}
    for group in groups:
        path = f"{group.pools[0].path}.table"
        other = owners.setdefault(group.table, group)
        if other is not group:
            yield InputError(
                path,
                f"table {group.table} is already the one of {other.pools[0].path} ({other.interface}, {', '.join(other.gateways)})",
                "Give one of them another table.",
            )
        rival = marked.setdefault(group.mark, group)
        if rival is not group:
            yield InputError(
                f"{group.pools[0].path}.mark",
                f"{group.mark:#x} is already the mark of {rival.pools[0].path} ({rival.case})",
                "Give one of them another mark, or both the same case.",
            )
        if group.table in foreign:
            yield InputError(
                path,
                f"table {group.table} holds routes that are not ours: {foreign[group.table]}",
                "Remove them if they were made by hand for this pool, or declare another table.",
            )
        for family, table in sorted(node.iptables_incompatible):
            if family in group.families and table in OUR_TABLES:
                yield InputError(
                    "iptables_variant",
                    f"nothing of ours could be seen again: {native_words(family, table)}",
                    "Move them there.",
                )
        for family in set(group.families) - set(node.iptables_families):
            yield InputError(
                f"{group.pools[0].path}.networks",
                f"{group.networks(family)[0]} is {family}, whose packets cannot be marked here: the node has no {PROGRAMS[family]}",
                f"Install {PROGRAMS[family]} and the kernel's tables for it, or leave the network out.",
            )


def dropped_by_choice(choices: Iterable[Choice]) -> Iterator[InputError]:
    """Yield refusals of sources that the chosen case would not carry out, so that nobody believes them to be in force."""
    for choice in choices:
        pool = choice.pool
        if choice.case in ("same_subnet", "onlink_route") and pool.deny:
            yield InputError(
                f"{pool.path}.deny",
                f"{choice.case} filters nothing, so deny would have no effect ({choice.reason})",
                "Remove deny, or declare case: policy_routing with a gateway.",
            )


def _replaced_kube_proxy(declaration: Declaration, node: Node) -> Iterator[InputError]:
    if effective_mode(declaration, node) == "ebpf":
        yield InputError(
            "cluster.kube_proxy_mode",
            f"services on this node are served by an eBPF replacement of kube-proxy ({node.kube_proxy.reason}), which"
            " bypasses the connection tracking that this rests on",
            "If kube-proxy does run here, declare its mode: iptables, nftables or ipvs.",
        )


def _mask_in_use(settings: Settings, node: Node) -> Iterator[InputError]:
    for rule in sorted(node.foreign_rules):
        if _asks_our_bits(rule, settings.mark_mask):
            yield InputError(
                "mark_mask",
                f"{settings.mark_mask:#x} shares bits with a rule that is not ours: {rule}",
                "Choose bits that are free.",
            )
            return


def _asks_our_bits(rule: Rule, mask: int) -> bool:
    """Whether a rule depends on our bits; one that compares the whole mark with 0x1, say, just never meets ours."""
    return bool(rule.fwmark & mask) if rule.fwmask == WHOLE_MARK else bool(rule.fwmask & mask)


def _priorities_in_use(settings: Settings, node: Node) -> Iterator[InputError]:
    """Refuse rules of others among ours, which packets without a mark skip.

    Before our first one they do no harm; the kernel puts a rule there that is made without a priority.
    """
    first, last = settings.priority_base + UNMARKED, settings.priority_base + END
    taken = [rule for rule in sorted(node.foreign_rules) if first <= rule.priority <= last]
    if taken:
        yield InputError(
            "priority_base",
            f"priorities {first}-{last} are to be ours, and a rule that is not ours is among them: {taken[0]}",
            "Choose a range that is free, or remove that rule if it was made by hand for a pool.",
        )


def _before_local_table(declaration: Declaration, node: Node) -> Iterator[InputError]:
    """Refuse to look up tables of ours before the node's own addresses, in each family that the pools have."""
    base = declaration.settings.priority_base
    for family in sorted({family_of(network) for pool in declaration.pools for network in pool.networks}):
        local = [
            rule.priority
            for rule in node.foreign_rules
            if rule.family == family and rule.action == "lookup" and rule.table == 255 and _catches_all(rule)
        ]
        if local and min(local) > base:
            moved = min(local)
            earlier = f"Have that rule before {base} (ip -{family[-1]} rule add priority 100 lookup local)."
            yield InputError(
                "priority_base",
                f"{base} comes before the local table, whose rule was moved to priority {moved} for {family}",
                f"Choose a priority_base above {moved}." if moved < HIGHEST_PRIORITY else earlier,
            )


def _catches_all(rule: Rule) -> bool:
    return not (rule.source or rule.destination or rule.iif or rule.oif or rule.fwmask or rule.extra)


def _interface(pool: Pool, _declaration: Declaration, node: Node) -> Iterator[InputError]:
    existing = node.interfaces.get(pool.interface)
    path = f"{pool.path}.interface"
    if existing is None and not pool.vlan:
        yield InputError(
            path,
            f"this node has no interface {pool.interface}",
            f"Create it first, or declare {pool.path}.vlan to have it made. The node has: {', '.join(sorted(node.interfaces))}.",
        )
    if existing and not existing.up and not existing.managed:
        yield InputError(
            path,
            f"{pool.interface} is down, and no route can go over it; it is not ours to set up",
            f'Run "ip link set {pool.interface} up" and have whatever made the interface do so at boot.',
        )
    if existing and existing.master:
        yield InputError(
            path,
            f"{pool.interface} is part of {existing.master}: packets arrive there, and MetalLB skips such interfaces",
            f"Name {existing.master} here.",
        )


def _vlan(pool: Pool, declaration: Declaration, node: Node) -> Iterator[InputError]:
    if not pool.vlan:
        return
    parent = node.interfaces.get(pool.vlan.parent)
    path = f"{pool.path}.vlan"
    to_come = any(other.vlan and other.interface == pool.vlan.parent for other in declaration.pools)
    if parent is None and to_come:
        pass
    elif parent is None:
        yield InputError(
            f"{path}.parent",
            f"this node has no interface {pool.vlan.parent}",
            f"Name the link that carries the VLAN. The node has: {', '.join(sorted(node.interfaces))}.",
        )
    elif not parent.up and not parent.managed:
        yield InputError(
            f"{path}.parent",
            f"{pool.vlan.parent} is down, and a VLAN on it cannot be set up",
            f'Run "ip link set {pool.vlan.parent} up" first.',
        )
    elif pool.vlan.mtu > parent.mtu:
        yield InputError(
            f"{path}.mtu",
            f"{pool.vlan.mtu} is more than {pool.vlan.parent} carries ({parent.mtu})",
            "Lower it, or raise the parent's first.",
        )
    existing = node.interfaces.get(pool.interface)
    foreign_vlan = existing if existing and not existing.managed and existing.kind in ("vlan", PROVIDER_VLAN) else None
    if foreign_vlan and _place(foreign_vlan) != ("vlan", pool.vlan.parent, pool.vlan.id):
        tag = "802.1ad " if foreign_vlan.kind == PROVIDER_VLAN else ""
        yield InputError(
            path,
            f"{pool.interface} exists already, made by someone else, as {tag}VLAN {foreign_vlan.vlan_id} on {foreign_vlan.parent}",
            "Make the declaration agree with it, or remove that link first.",
        )
    twin = _same_vlan(pool, node)
    if twin:
        yield InputError(
            path, f"VLAN {pool.vlan.id} on {pool.vlan.parent} exists already, as {twin}", f"Declare interface: {twin}."
        )


def _same_vlan(pool: Pool, node: Node) -> str:
    wanted = ("vlan", pool.vlan.parent, pool.vlan.id) if pool.vlan else ()
    return next(
        (
            item.name
            for item in node.interfaces.values()
            if _place(item) == wanted and item.name != pool.interface and not item.managed
        ),
        "",
    )


def _place(interface: Interface) -> tuple[str, str, int]:
    return (interface.kind, interface.parent, interface.vlan_id)


def _is_made(pool: Pool, node: Node) -> bool:
    """Whether the pool's link is yet to be made, or to be made anew."""
    existing = node.interfaces.get(pool.interface)
    if existing is None or not existing.managed:
        return existing is None
    return pool.vlan is not None and _place(existing) != ("vlan", pool.vlan.parent, pool.vlan.id)


def _ipv6(pool: Pool, _declaration: Declaration, node: Node) -> Iterator[InputError]:
    """Refuse IPv6 where the kernel has it off: on the link, or for links that are made from now on."""
    networks = [network for network in pool.networks if family_of(network) == IPV6]
    setting = disable_ipv6_name("default" if _is_made(pool, node) else pool.interface)
    if networks and node.sysctls.get(setting, "1") != "0":
        yield InputError(
            f"{pool.path}.networks",
            f"{networks[0]} is IPv6, which is switched off for {pool.interface} ({setting})",
            f"Switch it on (sysctl -w {setting}=0, and where it is set at boot), or leave the network out.",
        )


@dataclass(frozen=True)
class Precious:
    """An address that no pool may cover.

    :param what: what it is, in words.
    :param interface: on which a pool may cover it all the same, as the pool's address for this node; ``""`` for none.
    """

    address: str
    what: str
    interface: str = ""


class _OwnAddresses:
    """What no pool may cover: a route to it would cut the node off, or MetalLB would hand it out again."""

    def __init__(self, declaration: Declaration, node: Node) -> None:
        self._own = {own.address.partition("/")[0]: own for own in sorted(node.foreign_addresses, reverse=True)}
        self._precious = AddressLookup((item.address, item) for item in precious(declaration, node))

    def refusals(self, pool: Pool, _declaration: Declaration, _node: Node) -> Iterator[InputError]:
        """Yield what the pool covers."""
        for network in pool.networks:
            for item in self._precious.inside(network):
                if item.interface != pool.interface:
                    covered = f"{network} covers {item.address}, {item.what}"
                    yield InputError(f"{pool.path}.networks", covered, RANGES_HELP)
        for gateway in pool.gateways:
            own = self._own.get(gateway)
            if own is not None:
                yield InputError(
                    f"{pool.path}.gateways",
                    f"{gateway} is this node's own address on {own.interface}",
                    "Give the router's address.",
                )


def precious(declaration: Declaration, node: Node) -> Iterator[Precious]:
    """Yield what the node needs, and must reach where it is now."""
    vital = {route.interface for route in node.default_routes} | {node.ssh_interface}
    for own in sorted(node.foreign_addresses):
        if not is_link_local(own.address) and own.interface not in IPVS_LINKS:
            allowed = "" if own.interface in vital else own.interface
            yield Precious(own.address.partition("/")[0], f"this node's own address on {own.interface}", allowed)
    if node.ssh_peer:
        yield Precious(node.ssh_peer, "the other end of the connection that this runs over")
    for server in dict.fromkeys((*declaration.cluster.api_servers, *node.api_servers)):
        yield Precious(server, "a Kubernetes API server")
    for route in node.default_routes:
        if route.gateway and not ipaddress.ip_address(route.gateway).is_link_local:
            yield Precious(route.gateway, f"the node's default gateway on {route.interface}")


def _dedicated(pool: Pool, declaration: Declaration, node: Node) -> Iterator[InputError]:
    why = why_vital(node, declaration, pool.interface)
    if pool.dedicated and why:
        yield InputError(
            f"{pool.path}.dedicated",
            f"{pool.interface} is not dedicated to the pool: {why}."
            " Everything on it that is not for the pool would be dropped",
            "Leave dedicated out.",
        )
