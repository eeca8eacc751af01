# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of ``iptables-save``, parsed into managed chains and what matters of the others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from .chain import BUILT_IN_CHAINS, Chain, ChainSet
from .iptables_rule import jump_rule, split_rule, targets
from .node import Ownership

HINTS = ("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY", "KUBE-PROXY-CANARY")
CLUSTER_PREFIXES = ("KUBE-", "cali-", "CILIUM_", "CILIUM-", "FLANNEL-", "WEAVE", "CNI-")
#: kube-proxy fills it anew in each mode; names of other chains may be left over from an earlier mode.
SERVICES_CHAIN = "KUBE-SERVICES"
_TO_SERVICE = re.compile(r"-j KUBE-(?:SVC|EXT|FW|XLB)-")
_CHECKS_SOURCES = "-m rpfilter"
_RULE = ("-A ", "[")  # start of the line of a rule, without and with counters
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_LONGEST_TEXT = 256  # characters: XT_MAX_COMMENT_LEN, include/uapi/linux/netfilter/xt_comment.h


@dataclass(frozen=True)
class ClusterChains:
    """Chains of Kubernetes and of network plugins.

    :param names: all of them, of all tables.
    :param hints: the members of :data:`HINTS` in the table ``mangle``.
    :param services: what the rules of KUBE-SERVICES are those of: ``iptables`` or ``ipvs``.
    :param accepting: the chains in ``mangle`` that accept packets of established connections.
    """

    names: frozenset[str] = frozenset()
    hints: frozenset[str] = frozenset()
    accepting: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def __or__(self, other: ClusterChains) -> ClusterChains:
        return ClusterChains(
            self.names | other.names,
            self.hints | other.hints,
            self.accepting | other.accepting,
            self.services | other.services,
        )


@dataclass(frozen=True)
class ParsedTables:
    """What one run of ``iptables-save`` prints.

    :param chain_set: the managed chains.
    :param foreign_chains: table and name of every other chain, built-in ones included.
    :param incompatible: tables that iptables cannot print, because nft added rules to them.
    :param source_filters: table and line of each foreign rule of the tables that check the sources of packets.
    """

    chain_set: ChainSet
    cluster_chains: ClusterChains = field(default_factory=ClusterChains)
    foreign_chains: frozenset[tuple[str, str]] = frozenset()
    incompatible: frozenset[str] = frozenset()
    source_filters: tuple[tuple[str, str], ...] = ()


@dataclass
class _Table:
    """One table while it is parsed.

    :param managed: rules of the managed chains.
    :param foreign: names of the other chains.
    :param leading: by hook, the managed chains that its first rules jump to, and the conditions of these jumps.
    :param closed: foreign chains with a rule that is not a leading jump: jumps after it are stray.
    :param stray: chain and rule of stray jumps.
    :param services: what KUBE-SERVICES has rules of.
    :param accepting: foreign chains that accept packets of established connections.
    """

    managed: dict[str, list[str]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    leading: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    stray: list[tuple[str, str]] = field(default_factory=list)
    accepting: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)


def parse_save(text: str, variant: str, family: str, ownership: Ownership) -> ParsedTables:
    """Parse the output of ``iptables-save``, with or without counters."""
    tables: dict[str, _Table] = {}
    incompatible = set()
    table = _Table()
    for line in _lines(text):
        if line.startswith(_RULE):
            _read_rule(table, line, ownership)
        elif line.startswith(":"):
            name = line[1:].split(" ", 1)[0]
            if name.startswith(ownership.chain_prefix):
                table.managed[name] = []
            else:
                table.foreign.add(name)
        elif line.startswith("*"):
            table = tables.setdefault(line[1:].strip(), _Table())
        elif line.startswith("# Table `") and "is incompatible" in line:
            incompatible.add(line.split("`", 1)[1].split("'", 1)[0])
    chains = frozenset(chain for name, read in tables.items() for chain in _chains(family, name, read))
    found = ((name, chain, rule) for name, read in tables.items() for chain, rule in _stray(read, ownership))
    stray = tuple(sorted(found))
    return ParsedTables(
        ChainSet(variant, family, chains, stray),
        _cluster_chains(tables),
        frozenset((name, chain) for name, read in tables.items() for chain in read.foreign),
        frozenset(incompatible),
        tuple(_source_filters(text, ownership)) if _CHECKS_SOURCES in text else (),
    )


def _source_filters(text: str, ownership: Ownership) -> Iterator[tuple[str, str]]:
    table = ""
    in_table: list[str] = []
    for line in (*_lines(text), "*"):
        if line.startswith("*"):
            if any(_CHECKS_SOURCES in one for one in in_table):
                yield from ((table, one) for one in in_table)
            table, in_table = line[1:].strip(), []
        elif line.startswith(_RULE):
            rule = line.split("] ", 1)[-1] if line.startswith("[") else line
            if not rule.startswith(f"-A {ownership.chain_prefix}"):
                in_table.append(rule)


def _lines(text: str) -> Iterable[str]:
    """Return the lines; a newline inside quotes, as a comment may have it, does not end one."""
    lines = text.split("\n")
    open_ended = {number for number, line in enumerate(lines) if line.startswith(_RULE) and _has_open_quote(line)}
    return _joined(lines, open_ended) if open_ended else lines


def _has_open_quote(line: str) -> bool:
    return (_ESCAPED.sub("", line) if "\\" in line else line).count('"') % 2 == 1


def _joined(lines: list[str], open_ended: Collection[int]) -> Iterator[str]:
    """Yield the lines, those of one rule joined; a line whose quotes are never closed remains alone."""
    after = 0
    for number in range(len(lines)):
        if number >= after:
            after = _end_of_rule(lines, number) if number in open_ended else number + 1
            yield "\n".join(lines[number:after])


def _end_of_rule(lines: list[str], number: int) -> int:
    """Return the number of the line after the rule that starts in this line."""
    ends = range(number + 2, min(number + _LONGEST_TEXT, len(lines)) + 1)
    return next((end for end in ends if not _has_open_quote("\n".join(lines[number:end]))), number + 1)


def _read_rule(table: _Table, line: str, ownership: Ownership) -> None:
    """Add one ``-A`` line to its table."""
    if line.startswith("["):
        line = line.split("] ", 1)[-1]
    parts = line.split(" ", 2)
    chain, rule = parts[1], parts[2] if len(parts) > 2 else ""
    if chain in table.managed:
        table.managed[chain].append(rule)
        return
    if ownership.chain_prefix not in rule:
        table.closed.add(chain)
        if chain == SERVICES_CHAIN:
            table.services.add(
                "ipvs" if "--match-set KUBE-" in rule else "iptables" if _TO_SERVICE.search(rule) else ""
            )
        if rule.endswith("-j ACCEPT") and "ESTABLISHED" in rule:
            table.accepting.add(chain)
        return
    words = split_rule(rule)
    jumps_to = [name for name in targets(words) if name in table.managed]
    if not jumps_to:
        table.closed.add(chain)
        return
    jump = split_rule(jump_rule(jumps_to[0], ownership))
    matches, rest = words[: -len(jump)], words[-len(jump) :]
    if chain in table.closed or chain not in BUILT_IN_CHAINS or rest != jump or "--comment" in matches:
        table.closed.add(chain)
        table.stray.append((chain, rule))
    else:
        table.leading.setdefault(chain, []).append((jumps_to[0], " ".join(matches)))


def _hooks(table: _Table) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str, str]]]:
    """Return hook and condition of each managed chain that has one, and the second and later jumps to a chain.

    These are given as hook, name and condition.
    """
    hooks: dict[str, tuple[str, str]] = {}
    surplus = []
    for chain in sorted(table.leading):
        for name, condition in table.leading[chain]:
            if name in hooks:
                surplus.append((chain, name, condition))
            else:
                hooks[name] = (chain, condition)
    return hooks, surplus


def _chains(family: str, table_name: str, table: _Table) -> Iterator[Chain]:
    hooks, _surplus = _hooks(table)
    for name, rules in table.managed.items():
        hook, condition = hooks.get(name, ("", ""))
        yield Chain(family, table_name, name, tuple(rules), hook, condition)


def _stray(table: _Table, ownership: Ownership) -> Iterator[tuple[str, str]]:
    _first, surplus = _hooks(table)
    yield from table.stray
    yield from ((chain, jump_rule(name, ownership, condition)) for chain, name, condition in surplus)


def _cluster_chains(tables: dict[str, _Table]) -> ClusterChains:
    chains = frozenset(name for table in tables.values() for name in table.foreign if name.startswith(CLUSTER_PREFIXES))
    mangle = tables.get("mangle", _Table())
    services = frozenset().union(*(table.services for table in tables.values())) - {""}
    hints = frozenset(name for name in mangle.foreign if name in HINTS)
    return ClusterChains(chains, hints, chains & mangle.accepting, services)
