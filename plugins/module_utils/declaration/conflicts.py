# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the names and networks of all pools with each other and with the cluster's."""

from __future__ import annotations

from collections.abc import Sequence

from .limits import MAX_NETWORKS
from .networks import Span, SpanIndex, overlapping, relation
from .pool_input import PoolInput
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
