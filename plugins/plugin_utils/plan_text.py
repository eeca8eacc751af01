# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of all hosts of a play as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import comma_separated
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import FAMILY_NAMES, family_of
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import ClusterAddresses

#: Results of pool_routing by host; None for a host that failed or is unreachable.
Results = Mapping[str, Mapping[str, Any] | None]


def case_lines(results: Results) -> Iterator[str]:
    """Yield a line for each pool of each host."""
    for host, result in results.items():
        if result is None:
            yield f"{host}: no plan; see the error above"
            continue
        for case in result.get("cases", ()):
            marks = ""
            if "table" in case:
                kind = "dedicated" if case["dedicated"] else "shared"
                marks = f"; table {case['table']}, mark {case['mark']:#x}, {kind} interface"
            yield f"{host}: {case['pool']} on {case['interface']} is {case['case']}: {case['reason']}{marks}"


def address_lines(found: ClusterAddresses, results: Results) -> Iterator[str]:
    """Yield a line for each node with its addresses, where they come from, and what is not known."""
    kept: dict[str, dict[str, list[str]]] = {}  # node -> address -> hosts with the address in their state file
    families: set[str] = set()
    for host, result in results.items():
        about_nodes = (result or {}).get("node_addresses") or {}
        families.update(about_nodes.get("families", ()))
        for node, addresses in about_nodes.get("kept", {}).items():
            for address in addresses:
                kept.setdefault(node, {}).setdefault(address, []).append(host)
    for node, sources in found.sources.items():
        parts = [f"{address} (from {source})" for address, source in sources.items()]
        parts += [
            f"{address} (from the last run on {comma_separated(hosts)})"
            for address, hosts in kept.get(node, {}).items()
        ]
        known = {family_of(address) for address in (*sources, *kept.get(node, ()))}
        parts += [
            f"no {FAMILY_NAMES[family]} address is known ({reasons[node]})"
            for family, reasons in found.unknown.items()
            if node in reasons and family in families - known
        ]
        yield f"{node}: {', '.join(parts) or 'no address'}"


def command_lines(results: Results) -> Iterator[str]:
    """Yield the commands, once for all hosts with the same ones."""
    hosts_of: dict[tuple[str, ...], list[str]] = {}
    for host, result in results.items():
        if result is not None:
            hosts_of.setdefault(tuple(result.get("commands", ())), []).append(host)
    for commands, hosts in hosts_of.items():
        yield f"# {', '.join(hosts)}"
        yield from (line for command in commands or ("# nothing to change",) for line in str(command).splitlines())


def plan_lines(results: Results, found: ClusterAddresses | None) -> Sequence[str]:
    """Return the whole text.

    :param found: the node addresses, None if they are declared.
    """
    sections = [("The case of each pool", case_lines(results))]
    if found:
        sections.append(("Node addresses", address_lines(found, results)))
    sections.append(("The commands that apply would run", command_lines(results)))
    return [line for title, lines in sections for line in ("", f"{title}:", "", *lines)]
