# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done as declared, but is probably not what the user wants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..declaration.model import Cluster, Pool
from ..declaration.nodes import AddressesByNode, Nodes
from ..declaration.values import comma_separated
from ..state import Node
from ..state.family import FAMILIES, FAMILY_NAMES, IPV6, family_of
from ..state.node import IPVS_LINKS, RESTART_SPEAKER
from ..state.route import MAIN_TABLE
from .context import Context
from .forwarding import not_forwarding
from .links import ARP_ANNOUNCE, ARP_IGNORE, IPVS_CONNTRACK
from .model import Choice, CompiledGroup, Group
from .recipe import MOST_EXCEPTIONS
from .vital import is_link_local

_NUMBERED = re.compile(r"\.(\d+)$")  # the usual name of a VLAN link, parent.id


def find_warnings(choices: Iterable[Choice], groups: Sequence[Group], context: Context) -> Iterator[str]:
    """Yield what the user should check, each with its path in the input."""
    cluster = context.declaration.cluster
    if context.declaration.pools and not context.kube_proxy_mode:
        yield (
            "cluster.kube_proxy_mode: kube-proxy was not detected on this node. The routing suits its iptables and nftables"
            " modes; declare ipvs if it will run in that mode."
        )
    found = context.node.kube_proxy
    if context.declaration.pools and cluster.kube_proxy_mode == "auto" and found.contradiction:
        yield (
            f"cluster.kube_proxy_mode: there is evidence of more than one mode of kube-proxy. This run assumes {found.mode}"
            f" ({found.reason}), but {found.contradiction}, perhaps left from a former mode. Declare the mode, or remove what is"
            " left (kube-proxy --cleanup, then start kube-proxy again)."
        )
    yield from _undeclared_sources(cluster, groups, finds_nodes=context.declaration.finds_nodes)
    yield from _no_default_route(groups, context.node)
    yield from _no_own_address(groups, context)
    yield from _too_many_exceptions(groups, context)
    yield from _unknown_to_speaker((choice.pool for choice in choices), context.node)
    filtered = {group.interface for group in groups if group.traits.filters}
    for choice in choices:
        yield from _options_without_effect(choice, filtered)
        yield from not_forwarding(choice.pool, context)
        yield from _other_link(choice.pool, context)
        yield from _vlan(choice.pool, context)
    yield from _configured_links(context)


def _unknown_to_speaker(pools: Iterable[Pool], node: Node) -> Iterator[str]:
    """Yield on which links MetalLB's speaker, which already runs, does not listen.

    The speaker does not try again to announce a service whose link was missing when it handled it (speaker/layer2_controller.go).
    """
    if not node.speaker_links:
        return
    unknown = {pool.interface: pool.path for pool in reversed([*pools]) if pool.interface not in node.speaker_links}
    for interface, path in sorted(unknown.items(), key=lambda item: item[1]):
        others = comma_separated(sorted(node.speaker_links), 3)
        if interface in node.interfaces:
            yield (
                f"{path}.interface: MetalLB's speaker listens on {others}, but not on {interface}, so it announces no address"
                f" there. It looks for links every ten seconds. If {interface} is up, has no master and is not excluded in"
                f" MetalLB's configuration, restart the speaker: {RESTART_SPEAKER}"
            )
        else:
            yield (
                f"{path}.interface: MetalLB's speaker already runs on this node (it listens on {others}), and {interface} does"
                " not exist yet. The speaker gives up services whose link is missing (event announceFailed) and does not try"
                f" again when the link exists. Restart it after this run: {RESTART_SPEAKER}"
            )


def bypassed_marks(groups: Iterable[CompiledGroup], node: Node) -> Iterator[str]:
    """Yield that a network plugin accepts packets before they are marked, while its jump comes first.

    Calico moves its jump to the top again each time it checks (felix/rules/static.go, ``IptablesMangleAllowAction``).
    """
    if node.accepting_chains and any(group.connmark_rules for group in groups):
        chains = ", ".join(sorted(node.accepting_chains))
        yield (
            f"{chains} in the table mangle accepts packets of established connections. While the jump to it comes before the"
            " managed ones, replies get no mark and leave via the default route. With Calico, set iptablesMangleAllowAction:"
            " Return in the FelixConfiguration (see docs/limits.md)."
        )


def untracked_services(groups: Iterable[CompiledGroup], context: Context) -> Iterator[str]:
    """Yield that IPVS hides its connections from connection tracking, so that they keep no mark."""
    off = context.node.sysctls.get(IPVS_CONNTRACK) == "0"
    if off and context.kube_proxy_mode == "ipvs" and any(group.connmark_rules for group in groups):
        yield (
            f"{IPVS_CONNTRACK} is 0, so replies of services get no mark and leave via the default route. kube-proxy sets it to 1"
            f" when it starts. Restart kube-proxy, or run sysctl -w {IPVS_CONNTRACK}=1."
        )


def removal_warnings(node: Node) -> Iterator[str]:
    """Yield what removal resets although kube-proxy may need it."""
    names = sorted({item.name for item in node.managed.sysctls} & {ARP_IGNORE, ARP_ANNOUNCE})
    if names and any(link in node.interfaces for link in IPVS_LINKS):
        yield (
            f"{' and '.join(names)} are reset to the values they had before. kube-proxy sets them (strictARP) only when it"
            " starts. If it keeps running in IPVS mode, restart it; otherwise every node answers ARP for every service address."
        )
    yield from left_chains(node)


def left_chains(node: Node) -> Iterator[str]:
    """Yield that managed chains stay on a node whose iptables is gone."""
    if node.iptables_left:
        yield (
            f"These chains stay on the node, because {node.iptables_problem}: {', '.join(node.iptables_left)}. Run remove again"
            " when it is installed, or delete the jumps to them and the chains with nft."
        )


def _undeclared_sources(cluster: Cluster, groups: Sequence[Group], *, finds_nodes: bool) -> Iterator[str]:
    """Yield a warning for each kind of cluster address that the guard cannot recognise as forged, as it is not declared."""
    guarded = {family for group in groups if group.traits.has_guard for family in group.families}
    for option, whose, declared in (
        ("pod_networks", "pod", cluster.pod_networks),
        ("service_networks", "service", cluster.service_networks),
        ("node_addresses", "node", cluster.node_addresses),
    ):
        if option == "node_addresses" and finds_nodes:
            continue
        known = {family_of(one) for one in declared}
        missing = " and ".join(FAMILY_NAMES[family] for family in FAMILIES if family in guarded and family not in known)
        if missing:
            which = f"no {missing} entry" if declared else "not declared"
            yield f"cluster.{option}: {which}, so the guard cannot drop packets with forged {missing} {whose} addresses."


def _no_default_route(groups: Iterable[Group], node: Node) -> Iterator[str]:
    """Yield the families in which processes of the node cannot reply to clients.

    The kernel routes a packet of a process before OUTPUT, where it gets the mark (``ip_queue_xmit``, ``inet6_csk_xmit``), so
    without any route to the client there is no packet.
    """
    paths: dict[str, str] = {}
    for group in groups:
        if group.traits.uses_marks:
            paths.update({family: group.path for family in group.families if family not in paths})
    for family in sorted(paths.keys() - families_with_default_route(node)):
        name = FAMILY_NAMES[family]
        yield (
            f"{paths[family]}.networks: the node has no {name} default route, so its own processes cannot reply to {name}"
            " clients outside the networks that it has routes to. Pods are served, endpoints in the host network are not. Add a"
            f" default route to the main table (ip -{family[-1]} route add default via ...). It only has to exist: replies still"
            " leave through the pool's gateway."
        )


def _no_own_address(groups: Iterable[Group], context: Context) -> Iterator[str]:
    for group in groups:
        declared = any(pool.addresses for pool in group.pools)
        if (
            group.node_services
            and not declared
            and not any(context.own_networks(group.interface, one) for one in FAMILIES)
        ):
            yield f"{group.path}.node_services: the node has no address on {group.interface}, so it has no effect."


def _too_many_exceptions(groups: Iterable[Group], context: Context) -> Iterator[str]:
    for group in groups:
        for family in group.families if group.node_services else ():
            gateway = group.gateway(family)
            count = len(context.reached_over(group.interface, family, gateway))
            if count > MOST_EXCEPTIONS:
                yield (
                    f"{group.path}.node_services: the main table reaches {count} or more {FAMILY_NAMES[family]} networks over"
                    f" {group.interface} by other routers than {gateway}. Only the {MOST_EXCEPTIONS} largest are excepted: clients"
                    f" in the others that connect to the node's own addresses are answered through {gateway}."
                )


def families_with_default_route(node: Node) -> set[str]:
    """Return the families that have a default route in a table which every packet may reach."""
    tables = {
        (rule.family, rule.table) for rule in node.foreign_rules if rule.matches_all and rule.suppress_prefixlength < 0
    }
    tables |= {(family, MAIN_TABLE) for family in FAMILIES}
    return {
        route.family
        for route in node.foreign_routes
        if route.is_default and route.type == "unicast" and (route.family, route.table) in tables
    }


def node_address_warnings(nodes: Nodes, earlier: AddressesByNode, families: Iterable[str]) -> Iterator[str]:
    """Yield which addresses the guard no longer drops as sources, and of which nodes it does not know any.

    :param earlier: the addresses by node of the run before.
    :param families: those of the pools.
    """
    current = set(nodes.all_addresses())
    removed = [
        f"{address} ({node})" if node else address
        for node, addresses in sorted(earlier.items())
        for address in addresses
        if address not in current
    ]
    if removed:
        yield (
            f"cluster.node_addresses: {comma_separated(removed)} no longer belong to a node, so packets from there are no longer"
            " dropped as forged. If this is wrong, correct the inventory."
        )
    for family, reasons in nodes.unknown.items():
        if reasons and family in families:
            variable = "ip6" if family == IPV6 else "ip"
            yield (
                f"cluster.node_addresses: no {FAMILY_NAMES[family]} address of {comma_separated(reasons)} is known"
                f" ({comma_separated(dict.fromkeys(reasons.values()), 2)}), so the guard cannot drop packets with it as a forged"
                f" source. Set {variable} of these hosts in the inventory, or run the playbook homeward.metallb_routing.apply"
                " on them, which asks nodes."
            )


def _options_without_effect(choice: Choice, filtered: set[str]) -> Iterator[str]:
    pool = choice.pool
    if pool.interface not in filtered and (pool.rp_filter != "auto" or pool.dedicated is not None):
        yield (
            f"{pool.path}: rp_filter and dedicated have no effect on {pool.interface}, because case {choice.case} does not"
            " filter packets."
        )


def _other_link(pool: Pool, context: Context) -> Iterator[str]:
    for network in pool.networks:
        links = context.attached_interfaces.longest(network) or (pool.interface,)
        (written,) = pool.written([network])
        if pool.interface not in links:
            yield (
                f"{pool.path}.interface: the on-link route to {written} uses {links[0]} on this node, not {pool.interface}."
                " Requests arrive on the link on which MetalLB announces the addresses; declare that interface."
            )
        elif links[0] != pool.interface:
            yield (
                f"{pool.path}.interface: {' and '.join(links)} are attached to the network of {written}, and the kernel sends"
                f" through {links[0]}, so source validation (rp_filter) may drop requests that arrive on {pool.interface}. Take"
                f" {pool.interface} out of the network, or declare interface: {links[0]} and select it in MetalLB's"
                " L2Advertisement (interfaces)."
            )


def _configured_links(context: Context) -> Iterator[str]:
    """Yield the managed links on which another program has configured addresses."""
    for name, pools in context.declaration.pools_by_interface.items():
        link = context.node.interfaces.get(name)
        if link is None or not link.managed:
            continue
        declared = {own.partition("/")[0] for pool in pools for own in pool.addresses}
        found = [
            own.address
            for own in context.node.foreign_addresses_by_link.get(name, ())
            if not is_link_local(own.address) and own.address.partition("/")[0] not in declared
        ]
        if found:
            yield (
                f"{pools[0].path}.interface: {name} was created for its pools, but another program has added"
                f" {comma_separated(found)}, perhaps a network manager by DHCP. Exclude {name} there, and remove what it added (ip"
                f" address flush dev {name} scope global). If the link is to be the node's own, create it there and leave vlan out."
            )


def _vlan(pool: Pool, context: Context) -> Iterator[str]:
    if not pool.vlan:
        return
    number = _NUMBERED.search(pool.interface)
    if number and int(number.group(1)) != pool.vlan.id:
        yield f"{pool.path}.vlan.id: {pool.vlan.id} differs from the number in the name of {pool.interface}."
    existing = context.node.interfaces.get(pool.interface)
    if existing and not existing.managed and existing.kind != "vlan":
        kind = f"{existing.kind} link" if existing.kind else "physical link"
        yield f"{pool.path}.vlan: {pool.interface} already exists and is not a VLAN but a {kind}; it is used as it is."
