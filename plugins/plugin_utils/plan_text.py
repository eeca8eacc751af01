# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would do, or has done, on all hosts of a play as text: what is equal stands once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import comma_separated
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import FAMILY_NAMES, family_of
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import ClusterAddresses
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_names import abridged, named, order
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.text_table import indented, table

#: Results of pool_routing by host; None for a host that is unreachable or whose result is unknown.
Results = Mapping[str, Mapping[str, Any] | None]
Result = Mapping[str, Any] | None

#: Up to this number the addresses of each node are listed.
_FEW_NODES = 10
#: Differing lists of commands are compared with this many others, so that the time is linear.
_MOST_COMPARED = 8
_NOWHERE = "-"


def is_plan(result: Result) -> bool:
    """Whether this is the result of a node that could be configured."""
    return result is not None and not result.get("failed") and not result.get("skipped")


def changing(results: Results) -> list[str]:
    """Return the hosts on which something is, or would be, changed."""
    return [host for host, result in results.items() if result and is_plan(result) and result.get("commands")]


def table_lines(results: Results, width: int, failed: str) -> list[str]:
    """Return the table: a row for each pool, once for all hosts that agree in everything.

    :param failed: what to say of hosts without a result.
    """
    rows: list[Sequence[str]] = []
    for hosts, result in _grouped(results, lambda result: _row_key(result, failed)):
        names = abridged(hosts)
        cells = _pool_cells(result, failed)
        counts = _counts(result)
        for index, cell in enumerate(cells):
            rows.append((names if index == 0 else "", *cell, counts if index == 0 else ""))
    return table(("nodes", "pool", "case", "link", "changes"), rows, width)


def _row_key(result: Result, failed: str) -> Any:
    return (*(_pool_cells(result, failed)), _counts(result))


def _pool_cells(result: Result, failed: str) -> list[tuple[str, str, str]]:
    if result is None or result.get("failed"):
        return [(_NOWHERE, "not confirmed" if result and result.get("confirmed") is False else failed, _NOWHERE)]
    if result.get("skipped"):
        declared = not str(result.get("skip_reason", "")).startswith("no pools")
        return [(_NOWHERE, "not selected, skipped" if declared else "no pools, skipped", _NOWHERE)]
    cells = [(str(case["pool"]), str(case["case"]), str(case["interface"])) for case in result.get("cases", ())]
    return cells or [(_NOWHERE, _NOWHERE, _NOWHERE)]


def _counts(result: Result) -> str:
    if result is None or not is_plan(result):
        return ""
    changes = result.get("changes") or {}
    if not result.get("commands"):
        return "none"
    return f"+{changes.get('added', 0)} -{changes.get('removed', 0)}"


def reason_lines(results: Results, width: int) -> Iterator[str]:
    """Yield for each pool its networks as declared, and its case with the reason, once for all hosts with the same ones."""
    everywhere = [host for host, result in results.items() if result and is_plan(result)]
    hosts_of: dict[tuple[str, str, str], list[str]] = {}
    for host in everywhere:
        for case in (results[host] or {}).get("cases", ()):
            networks = ", ".join(map(str, case.get("networks", ())))
            reason = f"{case['case']}: {case['reason']}"
            if "table" in case:
                kind = "dedicated" if case["dedicated"] else "shared"
                reason += (
                    f"; table {case['table']}, mark {case['mark']:#x}, {kind} link: {case.get('dedicated_reason', '')}"
                )
            hosts_of.setdefault((str(case["pool"]), networks, reason), []).append(host)
    last = ("", "")
    for (pool, networks, reason), hosts in hosts_of.items():
        if (pool, networks) != last:
            yield from indented(f"{pool}: {networks}" if networks else pool, width, 0)
        last = (pool, networks)
        where = "" if len(hosts) == len(everywhere) else f"on {named(hosts)}: "
        yield from indented(f"{where}{reason}", width, 2)


def address_lines(found: ClusterAddresses, results: Results, width: int, *, every: bool) -> Iterator[str]:
    """Yield the addresses of each node, where they come from, and what is not known.

    :param every: list each node; otherwise, of many nodes, only where their addresses come from.
    """
    parts = dict(_node_addresses(found, results))
    if every or len(parts) <= _FEW_NODES:
        for node, texts in parts.items():
            yield from indented(f"{node}: {', '.join(text for _kind, text in texts) or 'no address'}", width, 0)
        return
    hosts_of: dict[tuple[str, ...], list[str]] = {}
    for node, texts in parts.items():
        hosts_of.setdefault(tuple(dict.fromkeys(kind for kind, _text in texts)), []).append(node)
    for kinds, nodes in hosts_of.items():
        yield from indented(f"{named(nodes)}: {', '.join(kinds) or 'no address'}", width, 0)
    yield from indented("-v lists the addresses of each node.", width, 0)


def _node_addresses(found: ClusterAddresses, results: Results) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each node with texts about its addresses: a general one, and one with the address."""
    kept: dict[str, dict[str, list[str]]] = {}  # node -> address -> hosts with the address in their state file
    families: set[str] = set()
    for host, result in results.items():
        about_nodes = (result or {}).get("node_addresses") or {}
        families.update(about_nodes.get("families", ()))
        for node, addresses in about_nodes.get("kept", {}).items():
            for address in addresses:
                kept.setdefault(node, {}).setdefault(address, []).append(host)
    for node, sources in found.sources.items():
        texts = [
            (_general(address, f"from {source}"), f"{address} (from {source})") for address, source in sources.items()
        ]
        for address, hosts in kept.get(node, {}).items():
            source = f"from the last run on {comma_separated(hosts)}"
            texts.append((_general(address, "from the last run"), f"{address} ({source})"))
        known = {family_of(address) for address in (*sources, *kept.get(node, ()))}
        for family, reasons in found.unknown.items():
            if node in reasons and family in families - known:
                text = f"no {FAMILY_NAMES[family]} address is known ({reasons[node]})"
                texts.append((text, text))
        yield node, texts


def _general(address: str, source: str) -> str:
    return f"{FAMILY_NAMES[family_of(address)]} {source}"


def commands_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the commands of a result."""
    return tuple(map(str, result.get("commands", ())))


def difference_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines of the difference of a result, each after its sign."""
    sides = result.get("diff") or {}
    before, after = (str(sides.get(side, "")).splitlines() for side in ("before", "after"))
    lines = difflib.unified_diff(before, after, n=len(before) + len(after), lineterm="")
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


def shared_lines(results: Results, lines_of: Callable[[Mapping[str, Any]], tuple[str, ...]]) -> Iterator[str]:
    """Yield the commands or differences: those that many hosts have in common once, then what only some of them have."""
    hosts_of: dict[tuple[str, ...], list[str]] = {}
    for host, result in results.items():
        if result is not None and is_plan(result):
            hosts_of.setdefault(lines_of(result), []).append(host)
    for alike in _alike([(hosts, lines) for lines, hosts in hosts_of.items()]):
        everyone = order([host for hosts, _lines in alike for host in hosts], results)
        first = alike[0][1]
        common = set(first).intersection(*(lines for _hosts, lines in alike))
        yield f"# {named(everyone)}"
        yield from _lines(line for line in first if line in common)
        if not first:
            yield "# nothing to change"
        for hosts, lines in alike:
            own = [line for line in lines if line not in common]
            if own:
                yield f"# {named(hosts)}, in addition"
                yield from _lines(own)


def _lines(commands: Iterable[str]) -> Iterator[str]:
    for command in commands:
        yield from command.splitlines()


_Group = tuple[Sequence[str], tuple[str, ...]]


def _alike(groups: Sequence[_Group]) -> list[list[_Group]]:
    """Return the groups of hosts together with others that have most of their lines."""
    found: list[list[_Group]] = []
    for hosts, commands in groups:
        lines = set(commands)
        for others in found[:_MOST_COMPARED]:
            known = others[0][1]
            if lines and 2 * len(lines.intersection(known)) > max(len(lines), len(known)):
                others.append((hosts, commands))
                break
        else:
            found.append([(hosts, commands)])
    return found


def _grouped(results: Results, key: Callable[[Result], Any]) -> list[tuple[list[str], Result]]:
    """Return the hosts with equal keys, in the order of their first ones, with the result of the first."""
    hosts_of: dict[Any, list[str]] = {}
    for host, result in results.items():
        hosts_of.setdefault(key(result), []).append(host)
    return [(hosts, results[hosts[0]]) for hosts in hosts_of.values()]
