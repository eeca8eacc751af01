# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses nodes that the settings do not fit, whatever the pools: because of kube-proxy or foreign rules."""

from __future__ import annotations

from collections.abc import Iterator

from ...declaration.settings import HIGHEST_PRIORITY
from ...errors import InputError
from ...state.family import FAMILY_NAMES, contains, family_of
from ...state.route import LOCAL_TABLE
from ..context import Context
from ..recipe import END, UNMARKED


def node_refusals(context: Context) -> Iterator[InputError]:
    """Yield why the settings do not fit this node."""
    yield from _kube_proxy(context)
    yield from _priorities(context)
    yield from _local_table(context)
    yield from _cluster(context)


def _kube_proxy(context: Context) -> Iterator[InputError]:
    if context.kube_proxy_mode == "ebpf":
        yield InputError(
            "cluster.kube_proxy_mode",
            f"an eBPF replacement of kube-proxy serves this node ({context.node.kube_proxy.reason}), and it bypasses the"
            " connection tracking that routing by marks relies on",
            "If kube-proxy does run here, declare its mode: iptables, nftables or ipvs.",
        )


def _priorities(context: Context) -> Iterator[InputError]:
    """Refuse foreign rules between the managed ones: unmarked packets would skip them.

    Before the first managed rule they do no harm; the kernel adds a rule without a priority there.
    """
    base = context.declaration.settings.priority_base
    first, last = base + UNMARKED, base + END
    rule = next((rule for rule in sorted(context.node.foreign_rules) if first <= rule.priority <= last), None)
    if rule:
        yield InputError(
            "priority_base",
            f"priorities {first}-{last} are needed, but a rule that is managed by someone else is among them: {rule}",
            "Choose a free range, or remove that rule if it is left over from a manual setup of a pool.",
        )


def _local_table(context: Context) -> Iterator[InputError]:
    """Refuse rules before the one of the local table, which holds the node's own addresses."""
    base = context.declaration.settings.priority_base
    for family in sorted({family_of(network) for pool in context.declaration.pools for network in pool.networks}):
        priorities = [
            rule.priority
            for rule in context.node.foreign_rules
            if rule.family == family and rule.action == "lookup" and rule.table == LOCAL_TABLE and rule.matches_all
        ]
        if priorities and min(priorities) > base:
            moved = min(priorities)
            yield InputError(
                "priority_base",
                f"{base} is before the {FAMILY_NAMES[family]} rule of the local table, which was moved to priority {moved}",
                f"Choose a priority_base above {moved}."
                if moved < HIGHEST_PRIORITY
                else f"Add a rule for the local table before {base} (ip -{family[-1]} rule add priority 100 lookup local).",
            )


def _cluster(context: Context) -> Iterator[InputError]:
    """Refuse addresses of the cluster that cannot be right: the guard would drop packets of the default router, or of the LAN."""
    cluster, node = context.declaration.cluster, context.node
    links = {route.interface for route in node.default_routes} | {node.ssh_interface}
    needed = {route.gateway: f"the node's default gateway on {route.interface}" for route in node.default_routes}
    own = sorted(address for address in node.foreign_addresses if address.interface in links)
    nodes = set(cluster.node_addresses)
    for address in sorted(needed.keys() & nodes):
        yield InputError(
            "cluster.node_addresses",
            f"{address} is {needed[address]}, whose packets the guard would drop as forged",
            "Declare the addresses of the nodes themselves: those at which the other nodes reach them.",
        )
    needed.update({one.address.partition("/")[0]: f"this node's own address on {one.interface}" for one in own})
    for network in cluster.service_networks:
        covered = next((address for address in needed if address and contains(network, address)), "")
        if covered and covered not in nodes:  # that is refused without a node
            yield InputError(
                "cluster.service_networks",
                f"{network} covers {covered}, {needed[covered]}, but addresses of services exist on no link",
                "Give the networks that the cluster was set up with.",
            )
