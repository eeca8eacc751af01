# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan changes, for a person or a program to read: structured, sorted, only what changes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from ..state import Chain, ChainSet, File
from ..state.step import StateObject, Step

HEADINGS = {
    "link": "links",
    "address": "addresses",
    "sysctl": "sysctls",
    "route": "routes",
    "chains": "chains",
    "rule": "rules",
    "file": "files",
    "unit": "units",
}
LONGEST_FILE = 20  # lines
PROGRAMS = {"ipv4": "iptables", "ipv6": "ip6tables"}

Side = dict[str, list[str]]


def diff(steps: Iterable[Step]) -> dict[str, Side]:
    """Return ``before`` and ``after``: for each kind of object the sorted lines that differ between the two."""
    before: Side = {}
    after: Side = {}
    for step in steps:
        old, new = set(_lines(step.before)), set(_lines(step.after))
        heading = HEADINGS[step.kind]
        before.setdefault(heading, []).extend(old - new)
        after.setdefault(heading, []).extend(new - old)
    return {"before": _tidy(before), "after": _tidy(after)}


def _tidy(side: Side) -> Side:
    return {heading: sorted(set(lines)) for heading, lines in sorted(side.items()) if lines}


def _lines(item: StateObject | None) -> Iterable[str]:
    if item is None:
        return ()
    if isinstance(item, ChainSet):
        return (line for chain in item.chains for line in _chain_lines(item, chain))
    if isinstance(item, File):
        return _file_lines(item)
    family = getattr(item, "family", "")
    return (f"{family}: {item}" if family else str(item),)


def _file_lines(item: File) -> Iterable[str]:
    """Return a short file whole, and of a longer one its fingerprint: nobody reads a program in a difference."""
    where = f"{item.path} ({item.mode:04o})"
    lines = item.content.splitlines()
    if len(lines) > LONGEST_FILE:
        content = item.content.encode("utf-8", "surrogateescape")
        return (f"{where}: {len(content)} bytes, sha256 {sha256(content).hexdigest()[:16]}",)
    return (f"{where} {number:02d}: {line}" for number, line in enumerate(lines, 1))


def _chain_lines(chains: ChainSet, chain: Chain) -> Iterable[str]:
    """Return the chain's rules numbered, so that sorting keeps their order."""
    where = f"{PROGRAMS[chains.family]} ({chains.variant}) {chain.table} {chain.name}"
    yield f"{where}: {f'jumped to from {chain.hook}, first' if chain.hook else 'chain'}"
    for number, rule in enumerate(chain.rules, 1):
        yield f"{where} {number:04d}: {rule}"
