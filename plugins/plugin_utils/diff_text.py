# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference that pool_routing returns as plain text, in the order in which a packet meets the objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import BUILT_IN
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import CHAINS, PACKET_ORDER, RULE

_KINDS = tuple(kind.plural for kind in PACKET_ORDER)
#: Both in the order of their priorities and of the path through the kernel.
_TABLES, _HOOKS = tuple(BUILT_IN), BUILT_IN["mangle"]

_CHAIN_LINE = re.compile(r"(?P<program>\S+ \(\w+\)) (?P<table>\w+) (?P<chain>\S+?):? (?P<rest>.*)")
_JUMPED_FROM = re.compile(r"jumped to from (\w+)")
_TARGET = re.compile(r" -[jg] (\S+)")
_NUMBERED = re.compile(r"\S+ \(\w+\) \w+ \S+ \d+: ")
_PRIORITY = re.compile(r"(?P<family>ipv[46]): priority (?P<priority>\d+)\b")

Side = Mapping[str, Sequence[str]]
#: Programs, table and chain.
_Chain = tuple[str, str, str]


def as_text(diff: Mapping[str, Side]) -> dict[str, str]:
    """Return ``before`` and ``after`` as text, each kind under its heading.

    :param diff: ``diff`` of the module, lines by kind.
    """
    before, after = diff.get("before", {}), diff.get("after", {})
    order = _chain_order([*before.get(CHAINS.plural, ()), *after.get(CHAINS.plural, ())])
    return {"before": _side(before, order), "after": _side(after, order)}


def count(diff: Mapping[str, Side]) -> dict[str, int]:
    """Return the number of lines that are added and removed."""
    added, removed = (sum(map(len, diff.get(side, {}).values())) for side in ("after", "before"))
    return {"added": added, "removed": removed}


def _side(side: Side, order: Mapping[_Chain, int]) -> str:
    kinds = [*(kind for kind in _KINDS if kind in side), *(kind for kind in side if kind not in _KINDS)]
    lines = [
        line for kind in kinds for line in (f"{kind}:", *(f"  {line}" for line in _sorted(kind, side[kind], order)))
    ]
    return "".join(f"{line}\n" for line in lines)


def _sorted(kind: str, lines: Sequence[str], order: Mapping[_Chain, int]) -> list[str]:
    if kind == CHAINS.plural:
        return sorted(lines, key=lambda line: (order.get(_chain_of(line), 0), bool(_NUMBERED.match(line)), line))
    if kind == RULE.plural:
        return sorted(lines, key=_rule_order)
    return list(lines)


def _rule_order(line: str) -> tuple[str, int, str]:
    found = _PRIORITY.match(line)
    return (found["family"], int(found["priority"]), line) if found else ("", 0, line)


def _chain_of(line: str) -> _Chain:
    found = _CHAIN_LINE.fullmatch(line)
    return (found["program"], found["table"], found["chain"].rstrip(":")) if found else ("", "", "")


def _chain_order(lines: Iterable[str]) -> dict[_Chain, int]:
    """Return the place of each chain: those of the first hook first, and each chain before those that it leads to."""
    hooks: dict[_Chain, int] = {}
    targets: dict[_Chain, list[str]] = {}
    for line in sorted(lines):
        chain = _chain_of(line)
        jumped = _JUMPED_FROM.search(line)
        hook = jumped.group(1) if jumped else chain[2].rpartition("-")[2]
        if jumped or chain not in hooks:
            hooks[chain] = _HOOKS.index(hook) if hook in _HOOKS else len(_HOOKS)
        targets.setdefault(chain, []).extend(_TARGET.findall(line))
    order: dict[_Chain, int] = {}

    def visit(chain: _Chain) -> None:
        if chain in targets and chain not in order:
            order[chain] = len(order)
            for target in targets[chain]:
                visit((chain[0], chain[1], target))

    tables = {table: index for index, table in enumerate(_TABLES)}
    for chain in sorted(hooks, key=lambda one: (one[0], hooks[one], tables.get(one[1], len(tables)), one)):
        visit(chain)
    return order
