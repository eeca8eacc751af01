# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan changes, for Ansible's diff mode: structured, sorted, only what changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from ..state import ChainSet, File
from ..state.chain import PROGRAMS
from ..state.kinds import BY_NAME, CHAINS, FILE
from ..state.step import Step

LONGEST_FILE = 20  # lines

Side = dict[str, list[str]]


def diff(steps: Iterable[Step]) -> dict[str, Side]:
    """Return ``before`` and ``after``: for each kind, by its plural, the sorted lines that only that side has."""
    before: Side = {}
    after: Side = {}
    for step in steps:
        lines = _LINES.get(step.kind, _one_line)
        old = set() if step.before is None else set(lines(step.before))
        new = set() if step.after is None else set(lines(step.after))
        heading = BY_NAME[step.kind].plural
        before.setdefault(heading, []).extend(old - new)
        after.setdefault(heading, []).extend(new - old)
    return {"before": _tidy(before), "after": _tidy(after)}


def _tidy(side: Side) -> Side:
    return {heading: sorted(set(lines)) for heading, lines in sorted(side.items()) if lines}


def _one_line(item: Any) -> Iterable[str]:
    family = getattr(item, "family", "")
    return (f"{family}: {item}" if family else str(item),)


def _file_lines(item: File) -> Iterable[str]:
    """Return the lines of a short file, and only size and checksum of a longer one, such as the agent's program."""
    where = f"{item.path} ({item.mode:04o})"
    lines = item.content.splitlines()
    if len(lines) > LONGEST_FILE:
        content = item.content.encode("utf-8", "surrogateescape")
        return (f"{where}: {len(content)} bytes, sha256 {sha256(content).hexdigest()[:16]}",)
    return (f"{where} {number:02d}: {line}" for number, line in enumerate(lines, 1))


def _chain_lines(item: ChainSet) -> Iterable[str]:
    """Return the rules of each chain, numbered, so that sorting keeps their order."""
    for chain in item.chains:
        where = f"{PROGRAMS[item.family]} ({item.variant}) {chain.table} {chain.name}"
        condition = f" for {chain.condition}" if chain.condition else ""
        yield f"{where}: {f'jumped to from {chain.hook}, first{condition}' if chain.hook else 'chain'}"
        for number, rule in enumerate(chain.rules, 1):
            yield f"{where} {number:04d}: {rule}"


_LINES: Mapping[str, Callable[[Any], Iterable[str]]] = {CHAINS.name: _chain_lines, FILE.name: _file_lines}
