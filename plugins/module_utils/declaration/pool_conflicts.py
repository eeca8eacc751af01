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
from .pools import PoolInput
from .problems import Problems


def check_names(problems: Problems, entries: Sequence[PoolInput]) -> None:
    """Refuse two pools of one name."""
    first: dict[str, PoolInput] = {}
    for entry in entries:
        name = entry.pool.name
        other = first.setdefault(name, entry)
        if name and other is not entry:
            problem = f"{name} is the name of {other.pool.path} already"
            problems.add(f"{entry.pool.path}.name", problem, "Give each pool a name of its own.")


def check_limits(problems: Problems, entries: Sequence[PoolInput]) -> None:
    """Refuse more networks in all than are promised to work."""
    for option in ("networks", "onlink_networks", "deny"):
        count = sum(len(getattr(entry.pool, option)) for entry in entries)
        if count > MAX_NETWORKS:
            problem = f"their {option} come to {count} networks, more than the {MAX_NETWORKS} that are allowed"
            problems.add("pools", problem, "Declare larger networks instead of many small ones.")


def check_pool_networks(problems: Problems, entries: Sequence[PoolInput], protected: Sequence[Span]) -> None:
    """Refuse networks that overlap within a pool, between pools, or with the cluster's own.

    :param protected: networks and addresses of the cluster.
    """
    networks = [span for entry in entries for span in entry.networks]
    for later, earlier in overlapping(networks):
        problem = (
            f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text}), but no address is in two places"
        )
        problems.add(later.path, problem, "Leave one of the two out, or make them smaller until they do not meet.")
    of_cluster = SpanIndex(protected)
    for span in networks:
        other = of_cluster.find(span)
        if other is not None:
            problem = (
                f"{span.text} {relation(span, other)} {other.path} ({other.text}),"
                " so the cluster's own traffic would be routed as the pool's"
            )
            problems.add(
                span.path, problem, "Correct one of the two; a pool holds what nothing else in the cluster has."
            )


def check_deny(problems: Problems, entries: Sequence[PoolInput]) -> None:
    """Refuse denied sources that are clients or gateways of any pool on the same interface."""
    of_interface: dict[str, list[PoolInput]] = {}
    for entry in entries:
        of_interface.setdefault(entry.pool.interface or entry.pool.path, []).append(entry)
    for neighbours in of_interface.values():
        if any(entry.deny for entry in neighbours):
            _check_deny_of_interface(problems, neighbours)


def _check_deny_of_interface(problems: Problems, entries: Sequence[PoolInput]) -> None:
    networks = SpanIndex(span for entry in entries for span in entry.networks)
    gateways = SpanIndex(span for entry in entries for span in entry.gateways)
    for entry in entries:
        for later, earlier in overlapping(entry.deny):
            problem = f"{later.text} {relation(later, earlier)} {earlier.path} ({earlier.text})"
            problems.add(later.path, problem, "Leave one of the two out.")
        for span in entry.deny:
            network = networks.find(span)
            gateway = gateways.find(span)
            if network is not None:
                where = f"{relation(span, network)} {network.path} ({network.text})"
                problem = f"{span.text} {where}, so the pool's own hosts on the link would be refused"
                problems.add(span.path, problem, "Leave it out, or deny only networks apart from the pools'.")
            elif gateway is not None:
                where = f"{relation(span, gateway)} {gateway.path} ({gateway.text})"
                problem = f"{span.text} {where}, so the gateway's own packets (ICMP errors, say) would be refused"
                problems.add(span.path, problem, "Leave it out, or deny smaller networks beside the gateway.")


#: What identifies a way home: the interface and the gateways on it.
Way = tuple[str, tuple[str, ...]]


def check_interfaces(problems: Problems, entries: Sequence[PoolInput]) -> None:
    """Refuse pools of one interface that want it in different ways."""
    for option in ("vlan", "dedicated", "rp_filter"):
        first: dict[str, PoolInput] = {}
        for entry in entries:
            # A pool that may not give the option does not contradict one that does.
            traits = CASES.get(entry.pool.case)
            may_not_give = traits is not None and option in traits.options_without_effect
            if may_not_give or not entry.sound("interface", option):
                continue
            other = first.setdefault(entry.pool.interface, entry)
            mine, theirs = getattr(entry.pool, option), getattr(other.pool, option)
            if mine != theirs:
                problem = (
                    f"{_described(mine)} differs from {other.pool.path}.{option} ({_described(theirs)}),"
                    f" but both pools are on interface {entry.pool.interface}"
                )
                problems.add(f"{entry.pool.path}.{option}", problem, f"Declare the same {option} in both.")


def check_vlans(problems: Problems, entries: Sequence[PoolInput]) -> None:
    """Refuse one VLAN as two links, and links that are below each other in a circle."""
    first: dict[tuple[str, int], Pool] = {}
    parents: dict[str, Pool] = {}
    for entry in entries:
        pool = entry.pool
        if pool.vlan is None or not entry.sound("interface"):
            continue
        other = first.setdefault((pool.vlan.parent, pool.vlan.id), pool)
        parents.setdefault(pool.interface, pool)
        if other.interface != pool.interface:
            problem = (
                f"{pool.vlan.id} on {pool.vlan.parent} is interface {pool.interface} here and {other.interface} in"
                f" {other.path}, but the kernel makes only one link for a VLAN"
            )
            problems.add(f"{pool.path}.vlan.id", problem, "Give both pools the same interface, or another id.")
    _check_circles(problems, parents)


def _check_circles(problems: Problems, pools: dict[str, Pool]) -> None:
    """Follow each link down to one that no pool makes; each link is passed once."""
    ended: set[str] = set()
    for start in pools:
        way: list[str] = []
        link = start
        while link in pools and link not in ended and link not in way:
            way.append(link)
            vlan = pools[link].vlan
            link = vlan.parent if vlan else ""
        if link in way:
            circle = " on ".join([*way[way.index(link) :], link])
            problem = f"the links are below each other in a circle ({circle})"
            problems.add(
                f"{pools[link].path}.vlan.parent", problem, "Give the lowest one a parent that is there already."
            )
        ended.update(way)


def check_tables(problems: Problems, entries: Sequence[PoolInput]) -> None:
    """Refuse one table for different ways home."""
    first: dict[int, Pool] = {}
    for entry in entries:
        pool = entry.pool
        if not (pool.table and entry.routes_by_gateway and entry.sound("interface", "gateways")):
            continue
        other = first.setdefault(pool.table, pool)
        if _way(other) != _way(pool):
            problem = (
                f"{pool.table} is {other.path}.table already, for {_way_text(other)}, but this pool's replies go by"
                f" {_way_text(pool)}, and a table has one default route"
            )
            problems.add(f"{pool.path}.table", problem, "Give each its own table, or leave table out.")


def check_marks(problems: Problems, entries: Sequence[PoolInput], mark_mask: int) -> None:
    """Refuse one mark for different ways home or tables, and more marks than the mask has values.

    :param mark_mask: 0 where it is not known; the values are not counted then.
    """
    first: dict[int, Pool] = {}
    needed: set[object] = set()
    for entry in entries:
        pool = entry.pool
        if not (entry.routes_by_gateway and entry.sound("interface", "gateways", "table", "mark")):
            continue
        needed.add(pool.mark or (_way(pool), pool.table))
        other = first.setdefault(pool.mark, pool) if pool.mark else pool
        if _way(other) != _way(pool):
            problem = f"{pool.mark:#x} is {other.path}.mark already, for {_way_text(other)}, not for {_way_text(pool)}"
            problems.add(f"{pool.path}.mark", problem, "Give each its own mark, or leave mark out.")
        elif other.table != pool.table:
            problem = (
                f"{pool.mark:#x} is {other.path}.mark already, for {_table_text(other)}, not for {_table_text(pool)},"
                " and a mark leads to one table"
            )
            problems.add(f"{pool.path}.mark", problem, "Declare the same table in both, or another mark.")
    if mark_mask:
        _check_number_of_marks(problems, len(needed), mark_mask)


def _check_number_of_marks(problems: Problems, needed: int, mark_mask: int) -> None:
    values = mark_mask // (mark_mask & -mark_mask)
    if needed > values:
        bits = needed.bit_length()
        problem = (
            f"the pools need {needed} marks, one for each interface with its gateways and table,"
            f" but {mark_mask:#x} has room for {values}"
        )
        remedy = (
            f"Take {bits} adjacent bits that nothing else on the nodes uses, as {((1 << bits) - 1) << 16:#x} may be."
        )
        problems.add("mark_mask", problem, remedy)


def _way(pool: Pool) -> Way:
    return pool.interface, pool.gateways


def _way_text(pool: Pool) -> str:
    return f"{' and '.join(pool.gateways)} on {pool.interface}"


def _table_text(pool: Pool) -> str:
    return f"table {pool.table}" if pool.table else "a table that we choose"


def _described(value: Any) -> str:
    if isinstance(value, Vlan):
        mtu = f", mtu {value.mtu}" if value.mtu else ""
        return f"parent {value.parent}, id {value.id}{mtu}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none given" if value is None else str(value)
