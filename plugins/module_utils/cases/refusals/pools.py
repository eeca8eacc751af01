# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses pools that do not fit this node, whatever their cases: because of the link, VLAN, IPv6 or vital addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ...declaration.case_traits import AUTO_CASES, Situation
from ...declaration.model import Pool
from ...errors import InputError
from ...state import Interface, Node
from ...state.family import IPV6, family_of
from ...state.link import PROVIDER_VLAN
from ..context import Context
from ..dedicated import vital_reason
from ..links import disable_ipv6_name
from ..model import Choice
from .masters import master_refusals

RANGES_HELP = 'Declare only the addresses that MetalLB assigns, as a smaller network or a range "first-last".'

VlanKey = tuple[str, str, int]  # kind, parent, VLAN ID


def pool_refusals(context: Context) -> Iterator[InputError]:
    """Yield why pools do not fit this node."""
    checks: tuple[Callable[[Pool, Context], Iterator[InputError]], ...] = (
        _interface,
        master_refusals,
        _vlan_parent,
        _vlan,
        _ipv6,
        _vital_addresses,
        _dedicated,
    )
    for pool in context.declaration.pools:
        for check in checks:
            yield from check(pool, context)


def choice_refusals(choices: Iterable[Choice]) -> Iterator[InputError]:
    """Yield options that have no effect in the chosen case: denied sources would be let in."""
    filtering = AUTO_CASES[Situation.OWN_GATEWAY].name
    for choice in choices:
        if choice.pool.deny and not choice.traits.filters:
            yield InputError(
                f"{choice.pool.path}.deny",
                f"case {choice.case} does not filter packets, so deny would have no effect ({choice.reason})",
                f"Remove deny, or declare case: {filtering} with a gateway.",
            )
        if choice.pool.node_services and not choice.traits.uses_marks:
            yield InputError(
                f"{choice.pool.path}.node_services",
                f"case {choice.case} routes no replies through a gateway, so node_services would have no effect ({choice.reason})",
                "Remove node_services.",
            )


def _interface(pool: Pool, context: Context) -> Iterator[InputError]:
    name, path = pool.interface, f"{pool.path}.interface"
    existing = context.node.interfaces.get(name)
    altname = _named_otherwise(name, context.node)
    if altname:
        yield InputError(
            path, f"{name} is another name of {altname}, and rules match only that one", f"Declare {altname}."
        )
    elif existing is None and not pool.vlan:
        yield InputError(
            path,
            f"this node has no interface {name}",
            f"Create it first, or declare {pool.path}.vlan to have it created. The node has: {_names(context.node)}.",
        )
    if existing and not existing.up and not existing.managed:
        yield InputError(
            path,
            f"{name} is down, so no route can use it, and it is managed by someone else",
            f'Run "ip link set {name} up", and make sure that it is also set up at boot.',
        )


def _vlan_parent(pool: Pool, context: Context) -> Iterator[InputError]:
    if not pool.vlan:
        return
    name, path = pool.vlan.parent, f"{pool.path}.vlan"
    parent = context.node.interfaces.get(name)
    altname = _named_otherwise(name, context.node)
    if altname:
        yield InputError(f"{path}.parent", f"{name} is another name of {altname}", f"Declare {altname}.")
    elif parent is None:
        if not any(other.vlan for other in context.declaration.pools_by_interface.get(name, ())):
            yield InputError(
                f"{path}.parent",
                f"this node has no interface {name}",
                f"Declare the link that carries the VLAN. The node has: {_names(context.node)}.",
            )
    elif not parent.up and not parent.managed:
        yield InputError(
            f"{path}.parent",
            f"{name} is down, so a VLAN on it cannot be up",
            f'Run "ip link set {name} up" first.',
        )
    elif pool.vlan.mtu > parent.mtu:
        yield InputError(
            f"{path}.mtu",
            f"{pool.vlan.mtu} is larger than the MTU of {name} ({parent.mtu})",
            f"Lower it, or raise the MTU of {name} first.",
        )


def _vlan(pool: Pool, context: Context) -> Iterator[InputError]:
    if not pool.vlan:
        return
    name, path, desired = pool.interface, f"{pool.path}.vlan", _desired_vlan(pool)
    existing = context.node.interfaces.get(name)
    is_vlan = existing and existing.kind in ("vlan", PROVIDER_VLAN)
    if existing and is_vlan and not existing.managed and _current_vlan(existing) != desired:
        protocol = "802.1ad " if existing.kind == PROVIDER_VLAN else ""
        yield InputError(
            path,
            f"{name} already exists and is managed by someone else, as {protocol}VLAN {existing.vlan_id} on {existing.parent}",
            "Change the declaration to match it, or remove that link first.",
        )
    others = (item for item in context.node.interfaces.values() if item.name != name and not item.managed)
    same_vlan = next((item.name for item in others if _current_vlan(item) == desired), "")
    if same_vlan:
        yield InputError(
            path,
            f"VLAN {pool.vlan.id} on {pool.vlan.parent} already exists as {same_vlan}",
            f"Declare interface: {same_vlan}.",
        )


def _desired_vlan(pool: Pool) -> VlanKey | None:
    return ("vlan", pool.vlan.parent, pool.vlan.id) if pool.vlan else None


def _current_vlan(interface: Interface) -> VlanKey:
    return (interface.kind, interface.parent, interface.vlan_id)


def _ipv6(pool: Pool, context: Context) -> Iterator[InputError]:
    """Refuse IPv6 where it is disabled: on the link, or for new links if the link is to be created."""
    networks = [network for network in pool.networks if family_of(network) == IPV6]
    setting = disable_ipv6_name("default" if _is_created(pool, context.node) else pool.interface)
    if networks and context.node.sysctls.get(setting, "1") != "0":
        yield InputError(
            f"{pool.path}.networks",
            f"{pool.written(networks)[0]} is IPv6, which is disabled on {pool.interface} ({setting})",
            f"Enable it (sysctl -w {setting}=0, and where it is set at boot), or remove the network.",
        )


def _is_created(pool: Pool, node: Node) -> bool:
    """Whether the pool's link is to be created, or deleted and created again."""
    existing = node.interfaces.get(pool.interface)
    if existing is None or not existing.managed:
        return existing is None
    return pool.vlan is not None and _current_vlan(existing) != _desired_vlan(pool)


def _vital_addresses(pool: Pool, context: Context) -> Iterator[InputError]:
    """Refuse to cover what the node needs: a route would cut it off, or MetalLB would hand it out again."""
    for network in pool.networks:
        for vital in context.vital_lookup.inside(network):
            if vital.interface != pool.interface:
                (written,) = pool.written([network])
                problem = f"{written} covers {vital.address}, {vital.description}"
                yield InputError(f"{pool.path}.networks", problem, RANGES_HELP)
    for gateway in pool.gateways:
        interface = context.own_addresses.get(gateway)
        if interface:
            yield InputError(
                f"{pool.path}.gateways",
                f"{gateway} is this node's own address on {interface}",
                "Declare the router's address.",
            )


def _dedicated(pool: Pool, context: Context) -> Iterator[InputError]:
    reason = vital_reason(pool.interface, context) if pool.dedicated else ""
    if reason:
        yield InputError(
            f"{pool.path}.dedicated",
            f"{pool.interface} cannot be dedicated: {reason}. All traffic on it that is not for a pool would be dropped",
            "Remove dedicated.",
        )


def _named_otherwise(name: str, node: Node) -> str:
    """Return the name of the link that has this one as another name (``altname``), ``""`` if there is none."""
    return next((link.name for link in node.interfaces.values() if name in link.altnames), "")


def _names(node: Node) -> str:
    return ", ".join(sorted(node.interfaces))
