# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the managed chains, and chooses the variant of iptables that the rest of the node uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...errors import NodeError
from ...paths import PROGRAM_DIRECTORIES
from ...state import ChainSet, Ownership
from ...state.chain import VARIANTS, ChainSetKey
from ...state.family import FAMILIES, IPV4, IPV6
from ...state.iptables_save import CLUSTER_PREFIXES, SERVICES_CHAIN, ClusterChains, ParsedTables, parse_save
from ..families import NETWORK, kernel_families
from ..netlink.nf_tables import kernel_has_nf_tables, nft_all_chains, nft_chain_count, nft_chains, nft_rules
from . import programs
from .listing import read_tables

TABLES = ("filter", "nat", "mangle", "raw", "security")
_LEGACY_TABLES = {IPV4: "ip_tables_names", IPV6: "ip6_tables_names"}
# The canary of kube-proxy is not a hint: its image follows the kubelet, and leaves the canary where the variant has changed.
_HINTS_OF_KUBELET = frozenset({"KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"})

#: More chains than a node has without Kubernetes, or with few services.
MANY_CHAINS = 1000
# In the rules of KUBE-SERVICES as bytes: jumps of the mode iptables, and the match of ipset of the mode ipvs.
_SIGNS_OF_SERVICES = {"iptables": re.compile(rb"KUBE-(?:SVC|EXT)-"), "ipvs": re.compile(rb"set\0")}

Parsed = Mapping[ChainSetKey, ParsedTables]


@dataclass(frozen=True)
class IptablesState:
    """The current state of iptables on the node.

    :param variant: the one to write to: ``nft`` or ``legacy``.
    :param reason: why that one.
    :param chain_sets: managed chains: of ``variant`` one set per member of ``families``, even if empty; of the other
        variant only sets with chains.
    :param cluster_chains: of both variants and families together.
    :param families: those that can be read and written; without ``ipv6`` if the kernel or ip6tables lacks it.
    :param default_variant: what plain ``iptables`` is, ``""`` if there is none.
    :param incompatible: family and table of what ``variant`` cannot print, because nft added rules to it.
    :param hidden: family and table of what iptables-nft cannot print, chosen or not, where managed chains exist.
    :param problem: why there are no chains to read or write: the node has no iptables. ``""`` otherwise.
    :param left: managed chains that exist all the same, as the kernel lists them.
    :param source_filters: of iptables-legacy by family: table and line of each foreign rule of the tables that check sources.
    """

    variant: str
    reason: str
    chain_sets: frozenset[ChainSet] = frozenset()
    cluster_chains: ClusterChains = field(default_factory=ClusterChains)
    families: tuple[str, ...] = FAMILIES
    default_variant: str = ""
    incompatible: frozenset[tuple[str, str]] = frozenset()
    hidden: frozenset[tuple[str, str]] = frozenset()
    problem: str = ""
    left: tuple[str, ...] = ()
    source_filters: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def read(declared_variant: str, ownership: Ownership, only: Sequence[str] | None = None) -> IptablesState:
    """Read all tables once.

    With many services, ``iptables-nft-save`` reads everything again whenever kube-proxy changes a rule meanwhile, so it
    may never end. On such nodes only some tables are read.

    :param declared_variant: ``nft``, ``legacy``, or ``auto`` for what the kubelet, kube-proxy and the network plugin use.
    :param only: the tables to read on nodes with more than :data:`MANY_CHAINS` chains; None for all.
    :raises NodeError: iptables or the declared variant is missing, or a program cannot read tables that may exist. Using
        the other variant, or assuming empty tables, would leave their rules active next to those that are written.
    """
    installed = programs.installed()
    variants = [variant for variant in VARIANTS if ChainSetKey(variant, IPV4) in installed]
    if not variants:
        return _without_programs(declared_variant, ownership)
    if declared_variant != "auto" and declared_variant not in variants:
        raise NodeError(
            f"iptables_variant is {declared_variant}, but only {variants[0]} is installed. {programs.INSTALL}."
        )
    parsed, unusable = _read_variants(variants, installed, ownership, only)
    usable = [name for name in variants if name not in unusable]
    if declared_variant in unusable or not usable:
        raise NodeError(unusable["nft"])
    variant, reason = _choose(declared_variant, parsed, usable)
    families = tuple(family for family in kernel_families() if ChainSetKey(variant, family) in installed)
    chosen = {family: parsed.get(ChainSetKey(variant, family)) for family in families}
    sets = {tables.chain_set if tables else ChainSet(variant, family) for family, tables in chosen.items()}
    others = {tables.chain_set for key, tables in parsed.items() if key.variant != variant}
    return IptablesState(
        variant=variant,
        reason=reason,
        chain_sets=frozenset(sets | {other for other in others if other.chains or other.stray_jumps}),
        cluster_chains=_cluster_chains("nft", parsed) | _cluster_chains("legacy", parsed),
        families=families,
        default_variant=programs.default_variant(IPV4),
        incompatible=frozenset(
            (family, table) for family, tables in chosen.items() if tables for table in tables.incompatible
        ),
        hidden=frozenset(_hidden(parsed, ownership)),
        source_filters={
            key.family: tables.source_filters
            for key, tables in parsed.items()
            if key.variant == "legacy" and tables.source_filters
        },
    )


def _without_programs(declared_variant: str, ownership: Ownership) -> IptablesState:
    """Return the state of a node without iptables: no chains, but what the kernel has of them by name."""
    variant = VARIANTS[0] if declared_variant == "auto" else declared_variant
    reason = "no program was found"
    problem = f"no iptables was found in PATH, {', '.join(PROGRAM_DIRECTORIES)}. {programs.INSTALL}"
    return IptablesState(variant, reason, families=(), problem=problem, left=tuple(sorted(_left(ownership))))


def _left(ownership: Ownership) -> Iterator[str]:
    for family in FAMILIES:
        for table in TABLES:
            try:
                names = nft_chains(family, table)
            except NodeError:
                continue
            yield from (f"{family} {table} {name}" for name in names if name.startswith(ownership.chain_prefix))


def has_legacy_tables(family: str) -> bool:
    """Whether the kernel has any legacy table, without loading the module that would create one."""
    try:
        return bool((NETWORK / _LEGACY_TABLES[family]).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise NodeError("Only root can read the tables of iptables. Run as root (become: true).") from error


def _read_variants(
    variants: Sequence[str], installed: Collection[ChainSetKey], ownership: Ownership, only: Sequence[str] | None
) -> tuple[Parsed, dict[str, str]]:
    """Return the tables of each variant and family, and by variant why this kernel cannot use it.

    :raises NodeError: a program failed, so the tables are not known.
    """
    keys = [
        key
        for key in (ChainSetKey(variant, family) for variant in variants for family in kernel_families())
        if key in installed and (key.variant == "nft" or has_legacy_tables(key.family))
    ]
    parsed = _few_tables(keys, only or (), ownership)
    parts = [(key, part) for key in keys if key not in parsed for part in _parts(key, only)]
    commands = [(*programs.find(*key, "save"), *part) for key, part in parts]
    texts: dict[ChainSetKey, str] = {}
    unusable: dict[str, str] = {}
    for (key, _part), command, completed in zip(parts, commands, programs.run_together(commands)):
        if completed.returncode == 0:
            texts[key] = texts.get(key, "") + completed.stdout + completed.stderr
            continue
        failure = f"{' '.join(command)} failed: {programs.complaint(completed)}"
        if key.variant != "nft" or kernel_has_nf_tables():
            raise NodeError(
                f"{failure}. The {key.family} tables of iptables-{key.variant} are unknown, so nothing was changed."
                " Run the command as root on the node to see more, and try again when it works."
            )
        unusable["nft"] = f"{failure}. This kernel has no nf_tables. Install iptables-legacy."
    parsed.update({key: parse_save(text, *key, ownership) for key, text in texts.items()})
    partly = {key for key in parsed if _has_very_many_chains(key) and only is not None}
    return {key: _with_services(key, one) if key in partly else one for key, one in parsed.items()}, unusable


def _has_very_many_chains(key: ChainSetKey) -> bool:
    return key.variant == "nft" and nft_chain_count(key.family) > MANY_CHAINS


def _few_tables(
    keys: Sequence[ChainSetKey], only: Sequence[str], ownership: Ownership
) -> dict[ChainSetKey, ParsedTables]:
    """Return these tables where there are very many chains, as far as they can be listed."""
    found = ((key, read_tables(key, only, ownership)) for key in keys if only and _has_very_many_chains(key))
    return {key: tables for key, tables in found if tables is not None}


def _parts(key: ChainSetKey, only: Sequence[str] | None) -> list[tuple[str, ...]]:
    """Return the options of the runs that read what is needed."""
    if only is None or not _has_very_many_chains(key):
        return [()]
    return [("-t", table) for table in only]


def _with_services(key: ChainSetKey, parsed: ParsedTables) -> ParsedTables:
    """Return tables of which some were not read with what kube-proxy has in these."""
    rules = b"".join(nft_rules(key.family, "nat", SERVICES_CHAIN))
    services = {mode for mode, sign in _SIGNS_OF_SERVICES.items() if sign.search(rules)}
    found: frozenset[str] = frozenset()
    if not parsed.cluster_chains.hints:  # then the number of chains decides between the variants
        names = (name for _table, name in nft_all_chains("ip6" if key.family == IPV6 else "ip"))
        found = frozenset(name for name in names if name.startswith(CLUSTER_PREFIXES))
    more = ClusterChains(names=found, services=frozenset(services))
    return replace(parsed, cluster_chains=parsed.cluster_chains | more)


def _choose(declared: str, parsed: Parsed, variants: Sequence[str]) -> tuple[str, str]:
    """Return the variant and the reason for it.

    :param variants: those that work here, nft first.
    """
    if declared != "auto":
        return declared, "as declared"
    found = {variant: _cluster_chains(variant, parsed) for variant in variants}
    # After the kubelet has changed its variant both have hints; like the image of kube-proxy, look in nft first.
    for variant, chains in found.items():
        hints = sorted(chains.hints & _HINTS_OF_KUBELET)
        if hints:
            return variant, f"{hints[0]} is in its table mangle"
    busy = {variant: chains.names for variant, chains in found.items() if chains.names}
    if busy:
        variant = max(busy, key=lambda name: len(busy[name]))
        count, first = len(busy[variant]), min(busy[variant])
        return variant, f"it has {count} chains of Kubernetes or a network plugin ({first} ...)"
    for variant in variants:
        if any(tables.chain_set.chains for key, tables in parsed.items() if key.variant == variant):
            return variant, "it has managed chains"
    default = programs.default_variant(IPV4)
    if default in variants:
        return default, "it is the default of this node"
    return variants[0], "it is the only one that works on this node"


def _cluster_chains(variant: str, parsed: Parsed) -> ClusterChains:
    chains = ClusterChains()
    for key, tables in parsed.items():
        if key.variant == variant:
            chains |= tables.cluster_chains
    return chains


def _hidden(parsed: Parsed, ownership: Ownership) -> Iterator[tuple[str, str]]:
    """Yield family and table of what iptables cannot print although managed chains exist there; the kernel lists their names."""
    for key, tables in parsed.items():
        for table in tables.incompatible:
            if any(name.startswith(ownership.chain_prefix) for name in nft_chains(key.family, table)):
                yield key.family, table
