# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of managed chains, rendered as the input of ``iptables-restore`` or as commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .chain import BUILT_IN_CHAINS, PROGRAMS, Chain, ChainSet
from .iptables_rule import jump_rule, shell_line, split_rule
from .node import Ownership

Jump = tuple[str, str]  # the chain that it is in, and the rule


@dataclass(frozen=True)
class _Table:
    """The managed chains of one table by name, and the jumps to them."""

    chains: dict[str, Chain]
    jumps: list[Jump]
    stray_jumps: list[Jump]


@dataclass(frozen=True)
class _Change:
    """What has to be done in one table.

    :param declared: chains to create (``-N``) or to empty (``-F``), each with that command.
    :param actions: what follows, in order, as command, chain and the remaining text.
    """

    declared: tuple[tuple[str, str], ...]
    actions: tuple[tuple[str, str, str], ...]


def render_restore(before: ChainSet, after: ChainSet, ownership: Ownership) -> str:
    """Return the input of one ``iptables-restore --noflush`` that changes ``before`` into ``after``; ``""`` for no change.

    The restore changes each table atomically, one after the other. The position of a stray jump is not known, so one that
    only ``after`` has becomes the first rule of a built-in chain, where managed jumps belong, or the last one of any other.

    :raises ValueError: the two sets are of different variants or families, or a rule has more than one line.
    """
    lines: list[str] = []
    for table, change in _changes(before, after, ownership):
        lines.append(f"*{table}")
        lines += [f":{name} - [0:0]" for _command, name in change.declared]
        lines += [" ".join(filter(None, action)) for action in change.actions]
        lines.append("COMMIT")
    broken = [line for line in lines if "\n" in line]
    if broken:
        raise ValueError(f"a rule is one line: {broken[0]!r}")
    return "".join(f"{line}\n" for line in lines)


def render_commands(before: ChainSet, after: ChainSet, ownership: Ownership, program: str = "") -> list[str]:
    """Return the same change as shell commands.

    :param program: ``iptables`` or ``ip6tables`` by family unless given, such as ``iptables-legacy``.
    """
    program = program or PROGRAMS[after.family]
    return [
        shell_line((program, "-w", "-t", table, *words))
        for table, change in _changes(before, after, ownership)
        for words in (
            *change.declared,
            *((command, chain, *split_rule(text)) for command, chain, text in change.actions),
        )
    ]


def _changes(before: ChainSet, after: ChainSet, ownership: Ownership) -> Iterator[tuple[str, _Change]]:
    """Yield the name and the change of each table that changes."""
    if before.key != after.key:
        raise ValueError(f"one change is of one variant and family, not from {before.key} to {after.key}")
    tables = {chain.table for chain in before.chains | after.chains}
    tables |= {table for table, _chain, _rule in (*before.stray_jumps, *after.stray_jumps)}
    for name in sorted(tables):
        change = _change(_table(before, name, ownership), _table(after, name, ownership))
        if change.declared or change.actions:
            yield name, change


def _table(chain_set: ChainSet, name: str, ownership: Ownership) -> _Table:
    chains = {chain.name: chain for chain in sorted(chain_set.chains) if chain.table == name}
    jumps = [(chain.hook, jump_rule(chain.name, ownership, chain.condition)) for chain in chains.values() if chain.hook]
    return _Table(chains, jumps, sorted((chain, rule) for table, chain, rule in chain_set.stray_jumps if table == name))


def _change(before: _Table, after: _Table) -> _Change:
    written = [
        chain
        for name, chain in after.chains.items()
        if name not in before.chains or before.chains[name].rules != chain.rules
    ]
    lost_stray = [jump for jump in before.stray_jumps if jump not in after.stray_jumps]
    new_stray = [jump for jump in after.stray_jumps if jump not in before.stray_jumps]
    # All jumps of a hook are inserted again if one is, so that they keep the order of their chains. A stray jump counts, because
    # -D deletes the first rule with its text, which may be the jump in the right place.
    changed = {chain for chain, _rule in {*before.jumps} ^ {*after.jumps}}
    changed |= {chain for chain, rule in before.jumps if (chain, rule) in lost_stray}
    lost = [jump for jump in before.jumps if jump[0] in changed]
    gained = [jump for jump in after.jumps if jump[0] in changed]
    removed = [name for name in before.chains if name not in after.chains]
    return _Change(
        declared=tuple(("-F" if chain.name in before.chains else "-N", chain.name) for chain in written),
        actions=(
            *(("-D", chain, rule) for chain, rule in (*lost, *lost_stray)),
            *(("-A", chain.name, rule) for chain in written for rule in chain.rules),
            *(("-A", chain, rule) for chain, rule in new_stray if chain not in BUILT_IN_CHAINS),
            *(("-I", chain, f"1 {rule}") for chain, rule in reversed(new_stray) if chain in BUILT_IN_CHAINS),
            *(("-I", chain, f"1 {rule}") for chain, rule in reversed(gained)),
            *(("-F", name, "") for name in removed),
            *(("-X", name, "") for name in removed),
        ),
    )
