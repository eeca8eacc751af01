# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of iptables: ``iptables-save`` read into chains, a change of chains written for ``iptables-restore``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from . import Chain, ChainSet, Ownership
from .chain import BUILT_IN
from .family import IPV6

HINTS = ("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY", "KUBE-PROXY-CANARY")
SIGNS = ("KUBE-", "cali-", "CILIUM_", "CILIUM-", "FLANNEL-", "WEAVE", "CNI-")
_RULE = ("-A ", "[")  # how a rule's line begins, without counters and with them
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_LONGEST_TEXT = 256  # characters: XT_MAX_COMMENT_LEN, include/uapi/linux/netfilter/xt_comment.h
_BLANKS = re.compile(r"[ \t\n]+")
_JUMPS = ("-j", "-g", "--jump", "--goto")
_HOOKS = frozenset(chain for chains in BUILT_IN.values() for chain in chains)

StrayJump = tuple[str, str, str]


@dataclass(frozen=True)
class Signs:
    """Who else works with these tables.

    :param chains: names of all chains that Kubernetes or a network plugin makes.
    :param hints: the members of :data:`HINTS` found in the table ``mangle``.
    :param accepting: those of ``chains`` in ``mangle`` that end the way of packets of known connections.
    """

    chains: frozenset[str] = frozenset()
    hints: frozenset[str] = frozenset()
    accepting: frozenset[str] = frozenset()

    def __or__(self, other: Signs) -> Signs:
        return Signs(self.chains | other.chains, self.hints | other.hints, self.accepting | other.accepting)


@dataclass(frozen=True)
class ParsedTables:
    """What one run of ``iptables-save`` tells.

    :param chain_set: what is ours.
    :param foreign_chains: table and name of every chain that is not, the built-in ones included.
    :param incompatible: tables that iptables cannot read, because ``nft`` put something of its own into them.
    """

    chain_set: ChainSet
    signs: Signs = field(default_factory=Signs)
    foreign_chains: frozenset[tuple[str, str]] = frozenset()
    incompatible: frozenset[str] = frozenset()


def jump_rule(name: str, ownership: Ownership) -> str:
    """Return the rule that leads from a built-in chain to ours, as ``iptables-save`` prints it."""
    comment = f"-m comment --comment {quoted(ownership.comment)} " if ownership.comment else ""
    return f"{comment}-j {name}"


def quoted(word: str) -> str:
    """Return a word as ``iptables-save`` prints it: quoted unless it has only letters, digits, ``_`` and ``-``."""
    if word and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in word):
        return word
    escaped = "".join(f"\\{letter}" if letter in "\"\\'" else letter for letter in word)
    return f'"{escaped}"'


def split_rule(rule: str) -> tuple[str, ...]:
    """Return the words of a rule, by the quoting rules of ``iptables-restore``, which are not those of a shell.

    A double quote begins a quoted word anywhere, and the closing one ends the word; a backslash escapes only inside.
    """
    if '"' not in rule:
        return tuple(word for word in _BLANKS.split(rule) if word)
    words: list[str] = []
    word: list[str] = []
    inside = escaped = False
    for letter in rule:
        if inside and (escaped or letter not in '\\"'):
            word.append(letter)
            escaped = False
        elif inside and letter == "\\":
            escaped = True
        elif letter == '"' and not inside:
            inside = True
        elif letter not in '" \t\n':
            word.append(letter)
        elif letter == '"' or word:
            words.append("".join(word))
            word, inside = [], False
    if word:
        words.append("".join(word))
    return tuple(words)


def destinations(words: Iterable[str]) -> tuple[str, ...]:
    """Return the chains or targets that a rule leads to: none, or one."""
    found = []
    previous = ""
    for word in words:
        if previous in _JUMPS:
            found.append(word)
            previous = ""
        elif previous == "--comment":
            previous = ""
        else:
            previous = word
    return tuple(found)


@dataclass
class _Table:
    """One table while it is read: rules by chain, of the chains that matter."""

    own: dict[str, list[str]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    leading: dict[str, list[str]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    stray: list[tuple[str, str]] = field(default_factory=list)
    accepting: set[str] = field(default_factory=set)


def parse_save(text: str, variant: str, family: str, ownership: Ownership) -> ParsedTables:
    """Return our chains, and what else counts, out of the output of ``iptables-save``, with or without counters."""
    tables: dict[str, _Table] = {}
    incompatible = set()
    table = _Table()
    for line in _lines(text):
        if line.startswith(_RULE):
            _read_rule(table, line, ownership)
        elif line.startswith(":"):
            name = line[1:].split(" ", 1)[0]
            if name.startswith(ownership.chain_prefix):
                table.own[name] = []
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
        _signs(tables),
        frozenset((name, chain) for name, read in tables.items() for chain in read.foreign),
        frozenset(incompatible),
    )


def _lines(text: str) -> Iterable[str]:
    """Return the lines. Of all that may stand in a comment only a newline ends one, and not even that inside of quotes."""
    lines = text.split("\n")
    torn = {number for number, line in enumerate(lines) if line.startswith(_RULE) and _has_open_quote(line)}
    return _mended(lines, torn) if torn else lines


def _has_open_quote(line: str) -> bool:
    return (_ESCAPED.sub("", line) if "\\" in line else line).count('"') % 2 == 1


def _mended(lines: list[str], torn: Collection[int]) -> Iterator[str]:
    """Yield the lines with those put together that one rule goes over; one that nothing closes stays alone."""
    after = 0
    for number in range(len(lines)):
        if number >= after:
            after = _end_of_rule(lines, number) if number in torn else number + 1
            yield "\n".join(lines[number:after])


def _end_of_rule(lines: list[str], number: int) -> int:
    """Return the number of the line after a rule that begins in this line inside of quotes."""
    ends = range(number + 2, min(number + _LONGEST_TEXT, len(lines)) + 1)
    return next((end for end in ends if not _has_open_quote("\n".join(lines[number:end]))), number + 1)


def _read_rule(table: _Table, line: str, ownership: Ownership) -> None:
    """Sort one ``-A`` line into its table."""
    if line.startswith("["):
        line = line.split("] ", 1)[-1]
    parts = line.split(" ", 2)
    chain, rule = parts[1], parts[2] if len(parts) > 2 else ""
    if chain in table.own:
        table.own[chain].append(rule)
        return
    if ownership.chain_prefix not in rule:
        table.closed.add(chain)
        if rule.endswith("-j ACCEPT") and "ESTABLISHED" in rule:
            table.accepting.add(chain)
        return
    words = split_rule(rule)
    leads_to = [name for name in destinations(words) if name in table.own]
    if not leads_to:
        table.closed.add(chain)
    elif chain in table.closed or chain not in _HOOKS or words != split_rule(jump_rule(leads_to[0], ownership)):
        table.closed.add(chain)
        table.stray.append((chain, rule))
    else:
        table.leading.setdefault(chain, []).append(leads_to[0])


def _placed(table: _Table) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the hook of each chain that has one, and as (chain, name) the leading jumps that are one too many."""
    hooks: dict[str, str] = {}
    surplus = []
    for chain in sorted(table.leading):
        for name in table.leading[chain]:
            if name in hooks:
                surplus.append((chain, name))
            else:
                hooks[name] = chain
    return hooks, surplus


def _chains(family: str, table_name: str, table: _Table) -> Iterator[Chain]:
    hooks, _surplus = _placed(table)
    for name, rules in table.own.items():
        yield Chain(family, table_name, name, tuple(rules), hooks.get(name, ""))


def _stray(table: _Table, ownership: Ownership) -> Iterator[tuple[str, str]]:
    _hooks, surplus = _placed(table)
    yield from table.stray
    yield from ((chain, jump_rule(name, ownership)) for chain, name in surplus)


def _signs(tables: dict[str, _Table]) -> Signs:
    chains = frozenset(name for table in tables.values() for name in table.foreign if name.startswith(SIGNS))
    mangle = tables.get("mangle", _Table())
    return Signs(chains, frozenset(name for name in mangle.foreign if name in HINTS), chains & mangle.accepting)


@dataclass(frozen=True)
class _Change:
    """What happens in one table, in the order in which it must happen."""

    declared: tuple[str, ...]
    existing: frozenset[str]
    deleted: tuple[tuple[str, str], ...]
    filled: tuple[tuple[str, str], ...]
    appended: tuple[tuple[str, str], ...]
    inserted: tuple[tuple[str, str], ...]
    gone: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.declared or self.deleted or self.appended or self.inserted or self.gone)


def _changes(before: ChainSet, after: ChainSet, ownership: Ownership) -> Iterator[tuple[str, _Change]]:
    """Return each table that changes, by name."""
    if before.key != after.key:
        raise ValueError(f"one change is of one variant and family, not from {before.key} to {after.key}")
    tables = {chain.table for chain in before.chains | after.chains}
    tables |= {table for table, _chain, _rule in (*before.stray_jumps, *after.stray_jumps)}
    for table in sorted(tables):
        change = _change(_of(before, table), _of(after, table), ownership)
        if not change.is_empty:
            yield table, change


def _of(chain_set: ChainSet, table: str) -> tuple[dict[str, Chain], list[tuple[str, str]]]:
    chains = {chain.name: chain for chain in sorted(chain_set.chains) if chain.table == table}
    return chains, sorted((chain, rule) for of_table, chain, rule in chain_set.stray_jumps if of_table == table)


def _change(
    before: tuple[dict[str, Chain], list[tuple[str, str]]],
    after: tuple[dict[str, Chain], list[tuple[str, str]]],
    ownership: Ownership,
) -> _Change:
    old, old_stray = before
    new, new_stray = after
    changed = tuple(name for name, chain in new.items() if name not in old or old[name].rules != chain.rules)
    lost_stray = [jump for jump in old_stray if jump not in new_stray]
    old_jumps, new_jumps = _jumps(old, ownership), _jumps(new, ownership)
    # -D takes away the first rule of that text, which is the jump in its right place: that goes too, and comes back.
    disturbed = [jump for jump in old_jumps if jump in lost_stray]
    lost = [jump for jump in old_jumps if jump not in new_jumps or jump in disturbed]
    gained = [jump for jump in new_jumps if jump not in old_jumps or jump in disturbed]
    return _Change(
        declared=changed,
        existing=frozenset(old),
        deleted=(*lost, *lost_stray),
        filled=tuple((name, rule) for name in changed for rule in new[name].rules),
        appended=tuple(jump for jump in new_stray if jump not in old_stray),
        inserted=tuple(reversed(gained)),
        gone=tuple(name for name in old if name not in new),
    )


def _jumps(chains: dict[str, Chain], ownership: Ownership) -> list[tuple[str, str]]:
    return [(chain.hook, jump_rule(name, ownership)) for name, chain in chains.items() if chain.hook]


def render_restore(before: ChainSet, after: ChainSet, ownership: Ownership) -> str:
    """Return the input of one ``iptables-restore --noflush`` that makes ``after`` of ``before``; ``""`` for no change.

    Each table changes as a whole or not at all; between two tables there is a moment. A stray jump that ``after`` has
    and ``before`` has not is put last in its chain, as its place is not known.

    :raises ValueError: the two sets are of different variants or families, or a rule has more than one line.
    """
    lines: list[str] = []
    for table, change in _changes(before, after, ownership):
        lines.append(f"*{table}")
        lines += [f":{name} - [0:0]" for name in change.declared]
        lines += [f"-D {chain} {rule}" for chain, rule in change.deleted]
        lines += [f"-A {chain} {rule}" for chain, rule in (*change.filled, *change.appended)]
        lines += [f"-I {chain} 1 {rule}" for chain, rule in change.inserted]
        lines += [f"-F {name}" for name in change.gone]
        lines += [f"-X {name}" for name in change.gone]
        lines.append("COMMIT")
    broken = [line for line in lines if "\n" in line]
    if broken:
        raise ValueError(f"a rule is one line: {broken[0]!r}")
    return "".join(f"{line}\n" for line in lines)


def render_commands(before: ChainSet, after: ChainSet, ownership: Ownership, program: str = "") -> list[str]:
    """Return the same change as lines that a person can type into a shell.

    :param program: ``iptables`` or ``ip6tables`` by family unless given (``iptables-legacy``, where that is not the
        default).
    """
    program = program or ("ip6tables" if after.family == IPV6 else "iptables")
    commands = []
    for table, change in _changes(before, after, ownership):
        actions: list[tuple[str, ...]] = []
        actions += [("-F" if name in change.existing else "-N", name) for name in change.declared]
        actions += [("-D", chain, *split_rule(rule)) for chain, rule in change.deleted]
        actions += [("-A", chain, *split_rule(rule)) for chain, rule in (*change.filled, *change.appended)]
        actions += [("-I", chain, "1", *split_rule(rule)) for chain, rule in change.inserted]
        actions += [("-F", name) for name in change.gone]
        actions += [("-X", name) for name in change.gone]
        commands += [shlex.join((program, "-w", "-t", table, *action)) for action in actions]
    return commands
