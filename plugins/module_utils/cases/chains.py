# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains of a node, built from the connmark rules and guard rules of all groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from os.path import commonprefix

from ..declaration.model import Cluster
from ..state import Chain, ChainSet, Ownership
from ..state.family import FAMILIES, IPV4, collapse, family_of
from .context import Context
from .jumps import common_match, jump_conditions
from .model import CompiledGroup, ConnmarkRule, GuardRule
from .source_tree import source_chains

# Without these the gateway becomes unreachable: MLD queries (RFC 2710), router and neighbour discovery (RFC 4861).
MLD_AND_ND_TYPES = (130, 133, 134, 135, 136, 137)
MAX_DISPATCH_RULES = 4  # rules in one list of interfaces before it is split by the next letter of their names


def compile_chains(groups: Iterable[CompiledGroup], context: Context) -> frozenset[ChainSet]:
    """Return one set of chains per family, empty where the family needs none."""
    ownership = Ownership(protocol=context.declaration.settings.protocol)
    compiled = tuple(groups)
    connmark_rules = [rule for group in compiled for rule in group.connmark_rules]
    guard_rules = [rule for group in compiled for rule in group.guard_rules]
    return frozenset(
        ChainSet(
            context.node.variant,
            family,
            frozenset(
                (
                    *_mark_chains(
                        family, [rule for rule in connmark_rules if rule.family == family], context, ownership
                    ),
                    *_guard_chains(family, [rule for rule in guard_rules if rule.family == family], context, ownership),
                )
            ),
        )
        for family in FAMILIES
    )


def _mark_chains(
    family: str, connmark_rules: Sequence[ConnmarkRule], context: Context, ownership: Ownership
) -> Iterable[Chain]:
    if not connmark_rules:
        return
    prefix, mask = ownership.chain_prefix, context.declaration.settings.mark_mask
    unmarked = f"-m mark --mark 0x0/{mask:#x}"
    has_connmark = f"-m connmark ! --mark 0x0/{mask:#x}"
    restore = f"-j CONNMARK --restore-mark --nfmask {mask:#x} --ctmask {mask:#x}"
    marked = f"-m mark ! --mark 0x0/{mask:#x}"
    of_interface: dict[str, list[str]] = {}
    for item in connmark_rules:
        rules = of_interface.setdefault(item.interface, [])
        rules += [f"-d {network} -g {prefix}{item.mark:#x}" for network in item.networks]
    for mark, request_mark in sorted({(item.mark, item.request_mark or item.mark) for item in connmark_rules}):
        save = f"-m conntrack --ctdir ORIGINAL -j CONNMARK --set-xmark {mark:#x}/{mask:#x}"
        yield Chain(family, "mangle", f"{prefix}{mark:#x}", (save, f"-j MARK --set-xmark {request_mark:#x}/{mask:#x}"))
    dispatch, chains = _by_interface(of_interface, prefix)
    for name, listed in chains.items():
        yield Chain(family, "mangle", name, listed)
    networks = (network for item in connmark_rules for network in item.networks)
    conditions = jump_conditions(family, networks, [*of_interface], _elsewhere(family, context))
    yield from _first_chains(family, "mangle", prefix, dispatch, conditions)
    yield Chain(family, "mangle", f"{prefix}RESTORE", (f"{unmarked} {restore}",), "PREROUTING", has_connmark)
    yield Chain(family, "mangle", f"{prefix}OUTPUT", (f"-m conntrack --ctdir REPLY {restore}",), "OUTPUT", has_connmark)
    # Not in FORWARD: IPVS routes packets again after it, and needs the mark for that.
    clear = f"-j MARK --set-xmark 0x0/{mask:#x}"
    yield Chain(family, "mangle", f"{prefix}INPUT", (clear,), "INPUT", marked)
    # The state of a packet that conntrack does not track is not DNAT either, whatever its direction.
    unserved = "-m conntrack ! --ctstate DNAT --ctdir ORIGINAL"
    leaving = (f"{unserved} -j {prefix}UNSERVED", clear)
    yield Chain(family, "mangle", f"{prefix}POSTROUTING", leaving, "POSTROUTING", marked)
    yield Chain(family, "mangle", f"{prefix}UNSERVED", tuple(_loop_rules(connmark_rules)))


def _loop_rules(connmark_rules: Iterable[ConnmarkRule]) -> Iterable[str]:
    """Yield the rules for requests that leave the node as they came: no service has their address and port, so they loop.

    The REJECT rules of kube-proxy, in FORWARD and INPUT, come before. Frames that the node bridges do not loop. The match
    for them must not be used elsewhere, because it makes the kernel load br_netfilter, which passes all bridged frames
    through iptables.
    """
    for item in connmark_rules:
        routed = "-m physdev ! --physdev-is-bridged " if item.has_bridged_frames else ""
        yield from (f"-d {network} {routed}-j DROP" for network in item.networks)


def _guard_chains(
    family: str, guard_rules: Sequence[GuardRule], context: Context, ownership: Ownership
) -> Iterable[Chain]:
    prefix = ownership.chain_prefix
    forged = f"{prefix}FORGED"
    of_interface: dict[str, tuple[str, ...]] = {}
    for interface, items in _grouped(guard_rules):
        if any(item.drop_other_destinations or item.drop_cluster_sources or item.deny for item in items):
            of_interface[interface] = tuple(dict.fromkeys(_guard_of_interface(family, items, forged)))
    if not of_interface:
        return
    dispatch, chains = _by_interface(of_interface, prefix)
    for name, listed in chains.items():
        yield Chain(family, "raw", name, listed)
    if any(item.drop_cluster_sources for item in guard_rules):
        sources = _cluster_sources(family, context.declaration.cluster)
        for name, listed in source_chains(forged, family, sources).items():
            yield Chain(family, "raw", name, listed)
    conditions: tuple[str, ...] = (common_match([*of_interface]),)
    if not any(item.drop_other_destinations for item in guard_rules):  # all rules are for packets to the pools
        networks = (network for item in guard_rules for network in item.networks)
        conditions = jump_conditions(family, networks, [*of_interface], _elsewhere(family, context))
    yield from _first_chains(family, "raw", prefix, dispatch, conditions)


def _first_chains(
    family: str, table: str, prefix: str, dispatch: tuple[str, ...], conditions: Iterable[str]
) -> Iterable[Chain]:
    """Yield the chains that PREROUTING jumps to, one for each condition."""
    for number, condition in enumerate(conditions, 1):
        name = f"{prefix}PREROUTING" if number == 1 else f"{prefix}PREROUTING-{number}"
        yield Chain(family, table, name, dispatch, "PREROUTING", condition)


def _elsewhere(family: str, context: Context) -> Iterable[str]:
    """Yield the networks of the cluster itself, where most packets of the node go."""
    services = context.declaration.cluster.service_networks
    yield from context.cluster_networks[family]
    yield from (network for network in services if family_of(network) == family)


def _guard_of_interface(family: str, items: Sequence[GuardRule], forged: str) -> Iterable[str]:
    """Yield the rules for packets that arrive on one interface.

    :param forged: name of the chain that drops the cluster's sources.
    """
    dedicated = any(item.drop_other_destinations for item in items)
    if dedicated:
        yield from _mld_and_nd_rules(family)
        icmp = "icmp" if family == IPV4 else "ipv6-icmp"
        yield from (f"-d {own} ! -p {icmp} -j DROP" for item in items for own in item.own)
        yield from (f"-d {vital} -j RETURN" for item in items for vital in item.vital)
    for item in items:
        if dedicated:
            yield from (f"-s {source} -j DROP" for source in item.deny)
        else:
            yield from (f"-s {source} -d {network} -j DROP" for source in item.deny for network in item.networks)
    yield from (f"-d {network} -g {forged}" for item in items if item.drop_cluster_sources for network in item.networks)
    if dedicated:
        passing = (item for item in items if not item.drop_cluster_sources)
        yield from (f"-d {network} -j RETURN" for item in passing for network in item.networks)
        yield from (f"-s {vital} -j RETURN" for item in items for vital in item.vital)
        yield "-j DROP"


def _grouped(guard_rules: Sequence[GuardRule]) -> Iterable[tuple[str, list[GuardRule]]]:
    ordered = sorted(guard_rules, key=lambda item: item.interface)
    return ((interface, list(items)) for interface, items in groupby(ordered, key=lambda item: item.interface))


def _mld_and_nd_rules(family: str) -> list[str]:
    if family == IPV4:
        return []
    types = [f"-p ipv6-icmp -m icmp6 --icmpv6-type {number} -j RETURN" for number in MLD_AND_ND_TYPES]
    return [*types, "-s fe80::/10 -d fe80::/10 -j RETURN"]


def _cluster_sources(family: str, cluster: Cluster) -> tuple[str, ...]:
    """Return sources that no legitimate packet on a pool's interface has: pods, services, nodes."""
    nodes = collapse(cluster.node_addresses)
    sources = (*cluster.pod_networks, *cluster.service_networks, *nodes)
    return tuple(dict.fromkeys(source for source in sources if family_of(source) == family))


def _by_interface(
    rules: Mapping[str, Iterable[str]], prefix: str
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the rules that dispatch packets to the chain of their interface, and those chains by name.

    Packets from any other interface, a pod's for instance, should be compared with few rules, so interfaces whose names
    have a common prefix are behind one rule that matches this prefix.
    """
    chains = {f"{prefix}IN-{name}": tuple(texts) for name, texts in rules.items()}
    return _dispatch(sorted(rules), "", prefix, chains), chains


def _dispatch(names: Sequence[str], stem: str, prefix: str, chains: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return rules for names that all begin with ``stem``, and add the chains of longer common prefixes to ``chains``."""
    rules = []
    for start, members in _split(names, stem):
        if len(members) == 1:
            rules.append(f"-i {members[0]} -j {prefix}IN-{members[0]}")
        else:
            chain = f"{prefix}ANY-{start}"
            rules.append(f"-i {start}+ -j {chain}")
            chains[chain] = _dispatch(members, start, prefix, chains)
    return tuple(rules)


def _split(names: Sequence[str], stem: str) -> list[tuple[str, list[str]]]:
    """Split the names into parts that each have a common prefix; if there are few names, each is a part."""
    exact = [(name, [name]) for name in names if name == stem]
    rest = [name for name in names if name != stem]
    if len(rest) <= MAX_DISPATCH_RULES:
        return [*exact, *((name, [name]) for name in rest)]
    parts = [list(group) for _letter, group in groupby(rest, key=lambda name: name[: len(stem) + 1])]
    return [*exact, *((commonprefix(part), part) for part in parts)]  # noqa: RUF071 - not a path
