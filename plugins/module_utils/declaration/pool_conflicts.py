# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares all pools with each other and with the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .case_traits import CASES
from .model import MAX_NETWORKS, Pool, Vlan
from .networks import Span, SpanIndex, overlapping, relation
from .option_reader import ErrorCollector
from .pools import PoolInput
from .values import comma_separated

#: Bits 0 to 12 of a mark, of which network plugins use few (Antrea 0-7, AWS 7, Cilium 8-11).
_BITS_BELOW_OTHERS = 13


def check_pools(
    errors: ErrorCollector, entries: Sequence[PoolInput], protected: Sequence[Span], mark_mask: int
) -> None:
    """Refuse pools that contradict each other or the cluster.

    :param protected: networks and addresses of the cluster.
    :param mark_mask: 0 if it is not known.
    """
    _check_names(errors, entries)
    _check_number_of_networks(errors, entries)
    _check_networks(errors, entries, protected)
    _check_gateways(errors, entries, protected)
    _check_deny(errors, entries)
    _check_interfaces(errors, entries)
    _check_vlans(errors, entries)
    _check_tables(errors, entries)
    _check_marks(errors, entries, mark_mask)


def _check_names(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    """Refuse two pools with the same name."""
    first: dict[str, PoolInput] = {}
    for entry in entries:
        name = entry.pool.name
        other = first.setdefault(name, entry)
        if name and other is not entry:
            problem = f"{name} is already the name of {other.pool.path}"
            errors.add(f"{entry.pool.path}.name", problem, "Give each pool a different name.")


def _check_number_of_networks(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    """Refuse more networks in all than are supported."""
    for option in ("networks", "onlink_networks", "deny"):
        count = sum(len(getattr(entry.pool, option)) for entry in entries)
        if count > MAX_NETWORKS:
            problem = f"their {option} come to {count} networks, more than the {MAX_NETWORKS} that are allowed"
            errors.add("pools", problem, "Declare larger networks instead of many small ones.")


def _check_networks(errors: ErrorCollector, entries: Sequence[PoolInput], protected: Sequence[Span]) -> None:
    """Refuse networks that overlap within a pool, between pools, or with the cluster's own."""
    networks = [span for entry in entries for span in entry.networks]
    for later, earlier in overlapping(networks):
        where = f"{relation(later, earlier)} {earlier.path} ({earlier.text})"
        problem = f"{later.text} {where}, but an address can be declared only once"
        errors.add(later.path, problem, "Remove one of the two, or make them smaller so that they do not overlap.")
    of_cluster = SpanIndex(protected)
    for span in networks:
        other = of_cluster.find(span)
        if other is not None:
            all_others = [one for one in protected if _overlap(one, span)]
            further = comma_separated(f"{one.path} ({one.text})" for one in all_others if one.path != other.path)
            where = f"{relation(span, other)} {other.path} ({other.text})" + (f", also {further}" if further else "")
            problem = f"{span.text} {where}, so the cluster's own traffic would be routed as the pool's"
            remedy = "Correct one of the two; a pool may only contain addresses that nothing else in the cluster uses."
            errors.add(span.path, problem, remedy)


def _overlap(one: Span, other: Span) -> bool:
    return one.family == other.family and one.first <= other.last and other.first <= one.last


def _check_gateways(errors: ErrorCollector, entries: Sequence[PoolInput], protected: Sequence[Span]) -> None:
    """Refuse gateways that are declared as pods, services or nodes: the guard would drop their packets as forged.

    A gateway that is also an API server is a load balancer on the router.
    """
    of_cluster = SpanIndex(span for span in protected if not span.path.startswith("cluster.api_servers"))
    for span in (gateway for entry in entries for gateway in entry.gateways):
        other = of_cluster.find(span)
        if other is not None:
            where = f"{relation(span, other)} {other.path} ({other.text})"
            problem = f"{span.text} {where}, so the guard would drop the gateway's own packets as forged"
            errors.add(
                span.path, problem, "Correct the gateway, or remove it from the cluster's networks and addresses."
            )


def _check_deny(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    """Refuse denied sources that are hosts or gateways of any pool on the same interface."""
    by_interface: dict[str, list[PoolInput]] = {}
    for entry in entries:
        by_interface.setdefault(entry.pool.interface or entry.pool.path, []).append(entry)
    for together in by_interface.values():
        if any(entry.deny for entry in together):
            _check_deny_on_interface(errors, together)


def _check_deny_on_interface(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    networks = SpanIndex(span for entry in entries for span in entry.networks)
    gateways = SpanIndex(span for entry in entries for span in entry.gateways)
    for entry in entries:
        for later, earlier in overlapping(entry.deny):
            problem = f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text})"
            errors.add(later.path, problem, "Remove one of the two.")
        for span in entry.deny:
            network = networks.find(span)
            gateway = gateways.find(span)
            if network is not None:
                where = f"{relation(span, network)} {network.path} ({network.text})"
                problem = f"{span.text} {where}, so packets from the pool's own hosts on the link would be dropped"
                errors.add(span.path, problem, "Remove it, or deny only networks outside the pools.")
            elif gateway is not None:
                where = f"{relation(span, gateway)} {gateway.path} ({gateway.text})"
                problem = f"{span.text} {where}, so the gateway's own packets (such as ICMP errors) would be dropped"
                errors.add(span.path, problem, "Remove it, or deny smaller networks without the gateway.")


def _check_interfaces(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    """Refuse pools on one interface that declare different options for it."""
    for option in ("vlan", "dedicated", "rp_filter"):
        first: dict[str, PoolInput] = {}
        for entry in entries:
            # A pool that may not set the option does not contradict one that does.
            traits = CASES.get(entry.pool.case)
            may_not_give = traits is not None and option in traits.options_without_effect
            if may_not_give or not entry.is_valid("interface", option):
                continue
            other = first.setdefault(entry.pool.interface, entry)
            value, other_value = getattr(entry.pool, option), getattr(other.pool, option)
            if value != other_value:
                problem = (
                    f"{_describe(value)} differs from {other.pool.path}.{option} ({_describe(other_value)}),"
                    f" but both pools are on interface {entry.pool.interface}"
                )
                errors.add(f"{entry.pool.path}.{option}", problem, f"Declare the same {option} in both.")


def _describe(value: Any) -> str:
    if isinstance(value, Vlan):
        mtu = f", mtu {value.mtu}" if value.mtu else ""
        return f"parent {value.parent}, id {value.id}{mtu}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)


def _check_vlans(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    """Refuse one VLAN as two links, and links whose parents form a loop."""
    first: dict[tuple[str, int], Pool] = {}
    parents: dict[str, Pool] = {}
    for entry in entries:
        pool = entry.pool
        if pool.vlan is None or not entry.is_valid("interface"):
            continue
        other = first.setdefault((pool.vlan.parent, pool.vlan.id), pool)
        parents.setdefault(pool.interface, pool)
        if other.interface != pool.interface:
            problem = (
                f"{pool.vlan.id} on {pool.vlan.parent} is interface {pool.interface} here and {other.interface} in"
                f" {other.path}, but the kernel creates only one link for a VLAN"
            )
            errors.add(f"{pool.path}.vlan.id", problem, "Give both pools the same interface, or another id.")
    _check_loops(errors, parents)


def _check_loops(errors: ErrorCollector, pools: dict[str, Pool]) -> None:
    """Follow each link to its parents until one that no pool creates; each link is visited once."""
    visited: set[str] = set()
    for start in pools:
        chain: list[str] = []
        link = start
        while link in pools and link not in visited and link not in chain:
            chain.append(link)
            vlan = pools[link].vlan
            link = vlan.parent if vlan else ""
        if link in chain:
            loop = " on ".join([*chain[chain.index(link) :], link])
            problem = f"the parents of these links form a loop ({loop})"
            errors.add(f"{pools[link].path}.vlan.parent", problem, "Give the lowest link a parent that already exists.")
        visited.update(chain)


def _check_tables(errors: ErrorCollector, entries: Sequence[PoolInput]) -> None:
    """Refuse one table for different next hops."""
    first: dict[int, Pool] = {}
    for entry in entries:
        pool = entry.pool
        if not (pool.table and entry.routes_by_gateway and entry.is_valid("interface", "gateways")):
            continue
        other = first.setdefault(pool.table, pool)
        if _next_hops(other) != _next_hops(pool):
            problem = (
                f"table {pool.table} is already used by {other.path} for {_next_hops_text(other)}, but this pool's replies leave"
                f" through {_next_hops_text(pool)}, and a table has one default route"
            )
            errors.add(f"{pool.path}.table", problem, "Give each its own table, or leave table out.")


def _check_marks(errors: ErrorCollector, entries: Sequence[PoolInput], mark_mask: int) -> None:
    """Refuse one mark for different next hops or tables, and more marks than the mask has values.

    :param mark_mask: 0 if it is not known; the values are not counted then.
    """
    first: dict[int, Pool] = {}
    needed: set[object] = set()
    for entry in entries:
        pool = entry.pool
        if not (entry.routes_by_gateway and entry.is_valid("interface", "gateways", "table", "mark")):
            continue
        needed.add(pool.mark or (_next_hops(pool), pool.table))
        other = first.setdefault(pool.mark, pool) if pool.mark else pool
        if _next_hops(other) != _next_hops(pool):
            problem = f"{_taken(other)} for {_next_hops_text(other)}, not for {_next_hops_text(pool)}"
            errors.add(f"{pool.path}.mark", problem, "Give each its own mark, or leave mark out.")
        elif other.table != pool.table:
            problem = (
                f"{_taken(other)} for {_table_text(other)}, not for {_table_text(pool)}, and a mark selects one table"
            )
            errors.add(f"{pool.path}.mark", problem, "Declare the same table in both, or another mark.")
    if mark_mask:
        _check_number_of_marks(errors, len(needed), mark_mask)


def _check_number_of_marks(errors: ErrorCollector, needed: int, mark_mask: int) -> None:
    values = mark_mask // (mark_mask & -mark_mask)
    if needed > values:
        bits = needed.bit_length()
        problem = (
            f"the pools need {needed} marks, one for each interface with its gateways and table,"
            f" but {mark_mask:#x} has room for {values}"
        )
        # Bits from 13 on are used by kube-proxy, portmap, Calico, Tailscale, Weave and kube-router.
        example = ((1 << bits) - 1) << max(_BITS_BELOW_OTHERS - bits, 0)
        remedy = f"Use {bits} adjacent bits that nothing else on the nodes uses, for example {example:#x}."
        errors.add("mark_mask", problem, remedy)


def _next_hops(pool: Pool) -> tuple[str, tuple[str, ...]]:
    """Return the interface and the gateways that replies leave through."""
    return pool.interface, pool.gateways


def _next_hops_text(pool: Pool) -> str:
    return f"{' and '.join(pool.gateways)} on {pool.interface}"


def _taken(other: Pool) -> str:
    return f"{other.mark:#x} is already used by {other.path}"


def _table_text(pool: Pool) -> str:
    return f"table {pool.table}" if pool.table else "a table that is chosen automatically"
