# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains that all markings and guardings of a node make together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from ..declaration.model import Cluster, Settings
from ..state import Chain, ChainSet, Ownership
from ..state.family import FAMILIES, IPV4, family_of, full_length
from .model import Guarding, Marking

# Without these the gateway becomes unreachable: MLD queries (RFC 2710), router and neighbour discovery (RFC 4861).
LINK_KEEPING_ICMPV6_TYPES = (130, 133, 134, 135, 136, 137)
LARGEST_LIST = 4  # rules in one list of interfaces before it is split by the next letter of their names


def compile_chains(
    variant: str, markings: Iterable[Marking], guardings: Iterable[Guarding], cluster: Cluster, settings: Settings
) -> frozenset[ChainSet]:
    """Return one set of chains per family, empty where the family needs none."""
    ownership = Ownership(protocol=settings.protocol)
    marks, guards = tuple(markings), tuple(guardings)
    return frozenset(
        ChainSet(
            variant,
            family,
            frozenset(
                (
                    *_mark_chains(family, [item for item in marks if item.family == family], settings, ownership),
                    *_guard_chains(family, [item for item in guards if item.family == family], cluster, ownership),
                )
            ),
        )
        for family in FAMILIES
    )


def _mark_chains(family: str, markings: Sequence[Marking], settings: Settings, ownership: Ownership) -> Iterable[Chain]:
    if not markings:
        return
    prefix, mask = ownership.chain_prefix, settings.mark_mask
    unmarked = f"-m mark --mark 0x0/{mask:#x}"
    known = f"-m connmark ! --mark 0x0/{mask:#x}"
    restore = f"-j CONNMARK --restore-mark --nfmask {mask:#x} --ctmask {mask:#x}"
    give_back = (f"-m mark ! --mark 0x0/{mask:#x} -j MARK --set-xmark 0x0/{mask:#x}",)
    arriving: dict[str, list[str]] = {}
    for marking in markings:
        rules = arriving.setdefault(marking.interface, [])
        rules += [f"-d {network} -g {prefix}{marking.mark:#x}" for network in marking.networks]
    for mark, request_mark in sorted({(marking.mark, marking.request_mark or marking.mark) for marking in markings}):
        remember = f"-m conntrack --ctdir ORIGINAL -j CONNMARK --set-xmark {mark:#x}/{mask:#x}"
        yield Chain(
            family, "mangle", f"{prefix}{mark:#x}", (remember, f"-j MARK --set-xmark {request_mark:#x}/{mask:#x}")
        )
    dispatch, lists = _by_interface(arriving, prefix)
    for name, listed in lists.items():
        yield Chain(family, "mangle", name, listed)
    yield Chain(
        family, "mangle", f"{prefix}PREROUTING", (*dispatch, f"{known} {unmarked} {restore}"), hook="PREROUTING"
    )
    yield Chain(family, "mangle", f"{prefix}OUTPUT", (f"-m conntrack --ctdir REPLY {known} {restore}",), hook="OUTPUT")
    yield from _loop_chain(family, markings, unmarked, settings, ownership)
    # Not in FORWARD: IPVS routes once more behind it, and needs the mark there.
    yield Chain(family, "mangle", f"{prefix}INPUT", give_back, hook="INPUT")
    yield Chain(family, "mangle", f"{prefix}POSTROUTING", give_back, hook="POSTROUTING")


def _loop_chain(
    family: str, markings: Sequence[Marking], unmarked: str, settings: Settings, ownership: Ownership
) -> Iterable[Chain]:
    """Yield the chain that drops requests by a shared interface which are for no service, so that they cannot loop.

    A blackhole rule, which serves on a dedicated one, would here break the source check of clients on the link.
    """
    drops = tuple(
        f"-d {network} -i {item.interface} -m mark --mark {item.request_mark:#x}/{settings.mark_mask:#x} -j DROP"
        for item in markings
        if item.request_mark
        for network in item.networks
    )
    if drops:
        name = f"{ownership.chain_prefix}FORWARD"
        yield Chain(family, "mangle", name, (f"{unmarked} -j RETURN", *drops), hook="FORWARD")


def _guard_chains(
    family: str, guardings: Sequence[Guarding], cluster: Cluster, ownership: Ownership
) -> Iterable[Chain]:
    if not guardings:
        return
    prefix = ownership.chain_prefix
    forged = f"{prefix}FORGED"
    arriving: dict[str, list[str]] = {}
    for interface, items in _grouped(guardings):
        if not any(item.only_networks or item.refuse_cluster or item.deny for item in items):
            continue
        only = any(item.only_networks for item in items)
        rules = arriving.setdefault(interface, [])
        rules += _link_keeping_rules(family) if only else []
        for item in items:
            if only:
                rules += [f"-s {source} -j DROP" for source in item.deny]
            else:
                rules += [f"-s {source} -d {network} -j DROP" for source in item.deny for network in item.networks]
        verdict = f"-g {forged}"
        rules += [f"-d {network} {verdict}" for item in items if item.refuse_cluster for network in item.networks]
        rules += [
            f"-d {network} -j RETURN" for item in items if only and not item.refuse_cluster for network in item.networks
        ]
        rules += ["-j DROP"] if only else []
        arriving[interface] = list(dict.fromkeys(rules))
    if not arriving:
        return
    dispatch, lists = _by_interface(arriving, prefix)
    for name, listed in lists.items():
        yield Chain(family, "raw", name, listed)
    if any(item.refuse_cluster for item in guardings):
        yield Chain(
            family, "raw", forged, tuple(f"-s {source} -j DROP" for source in _cluster_sources(family, cluster))
        )
    yield Chain(family, "raw", f"{prefix}PREROUTING", dispatch, hook="PREROUTING")


def _grouped(guardings: Sequence[Guarding]) -> Iterable[tuple[str, list[Guarding]]]:
    ordered = sorted(guardings, key=lambda item: item.interface)
    return ((interface, list(items)) for interface, items in groupby(ordered, key=lambda item: item.interface))


def _link_keeping_rules(family: str) -> list[str]:
    if family == IPV4:
        return []
    types = [f"-p ipv6-icmp -m icmp6 --icmpv6-type {number} -j RETURN" for number in LINK_KEEPING_ICMPV6_TYPES]
    return [*types, "-s fe80::/10 -d fe80::/10 -j RETURN"]


def _cluster_sources(family: str, cluster: Cluster) -> tuple[str, ...]:
    """Return sources that never come in by a pool's interface: pods, services, nodes."""
    nodes = (f"{address}/{full_length(family_of(address))}" for address in cluster.node_addresses)
    sources = (*cluster.pod_networks, *cluster.service_networks, *nodes)
    return tuple(dict.fromkeys(source for source in sources if family_of(source) == family))


def _by_interface(arriving: dict[str, list[str]], prefix: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the rules that lead each interface's packets to its own chain, and those chains by name.

    A packet from anywhere else (a pod, say) should be asked as few questions as possible, so many interfaces whose names
    begin alike stand behind one question about that beginning.
    """
    chains = {f"{prefix}IN-{name}": tuple(rules) for name, rules in arriving.items()}
    rules = _dispatch(sorted(arriving), "", prefix, chains)
    return rules, chains


def _dispatch(names: Sequence[str], stem: str, prefix: str, chains: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return rules for names that all begin with ``stem``, and put the chains of longer beginnings into ``chains``."""
    rules = []
    for beginning, members in _split(names, stem):
        if len(members) == 1:
            rules.append(f"-i {members[0]} -j {prefix}IN-{members[0]}")
        else:
            chain = f"{prefix}ANY-{beginning}"
            rules.append(f"-i {beginning}+ -j {chain}")
            chains[chain] = _dispatch(members, beginning, prefix, chains)
    return tuple(rules)


def _split(names: Sequence[str], stem: str) -> list[tuple[str, list[str]]]:
    """Return the names in parts of one common beginning each; few names stay one to a part."""
    exact = [(name, [name]) for name in names if name == stem]
    rest = [name for name in names if name != stem]
    if len(rest) <= LARGEST_LIST:
        return [*exact, *((name, [name]) for name in rest)]
    parts = [list(group) for _letter, group in groupby(rest, key=lambda name: name[: len(stem) + 1])]
    return [*exact, *((_common_beginning(part), part) for part in parts)]


def _common_beginning(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    length = next(
        (index for index, letter in enumerate(first) if index >= len(last) or letter != last[index]), len(first)
    )
    return first[:length]
