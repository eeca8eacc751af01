# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins declared pools with MetalLB's address pools of the same name: what is left out comes from MetalLB."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.option_reader import ErrorCollector
from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import (
    comma_separated,
    is_unset,
    printable,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError, InputErrors
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_announced import (
    Announced,
    AnnouncedPool,
    Announcement,
)

_PATH = re.compile(r"\bpools\[(\d+)\](\.networks\[\d+\]|\.networks\b|\.interface\b)?")


@dataclass(frozen=True)
class Joined:
    """The pools of one host.

    :param pools: complete, as the option ``pools`` takes them; invalid entries are left as they are.
    :param indexes: of each pool, the index of its entry in the declaration.
    :param places: for a path that does not exist in the declaration, where its value comes from.
    :param not_selected: the names of pools that no announcement lets this host announce.
    :param warnings: about differences between the declaration and MetalLB's resources.
    """

    pools: list[Any]
    indexes: tuple[int, ...]
    places: Mapping[str, str] = field(default_factory=dict)
    not_selected: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def translate(self, text: str) -> str:
        """Return a message with the paths that the user knows."""
        return _PATH.sub(self._translated, text)

    def translated(self, error: InputError) -> InputErrors:
        """Return errors with the paths that the user knows."""
        errors = error.errors if isinstance(error, InputErrors) else (error,)
        return InputErrors(
            tuple(InputError(self.translate(one.path), self.translate(one.problem), one.remedy) for one in errors)
        )

    def amend(self, result: dict[str, Any]) -> None:
        """Add the warnings to a result of pool_routing, and translate the paths in its errors."""
        result["warnings"] = [*result.get("warnings", ()), *self.warnings]
        if self.not_selected:
            result["not_selected"] = list(self.not_selected)
        if result.get("failed"):
            result["msg"] = self.translate(str(result.get("msg", "")))
            for error in result.get("errors", ()):
                error.update(path=self.translate(error["path"]), message=self.translate(error["message"]))

    def skipped(self) -> dict[str, Any]:
        """Return the result for a host that MetalLB announces no declared pool from."""
        names = comma_separated(self.not_selected)
        reason = f"no L2Advertisement of MetalLB selects this node for {names}"
        warning = (
            f"nodes that no L2Advertisement of MetalLB selects for {names} are skipped. The playbook"
            " homeward.metallb_routing.remove with --limit removes an earlier configuration."
        )
        return {"changed": False, "skipped": True, "skip_reason": reason, "warnings": [warning, *self.warnings]}

    def _translated(self, found: re.Match[str]) -> str:
        index, rest = int(found[1]), found[2] or ""
        if found[0] in self.places:
            return self.places[found[0]]
        return f"pools[{self.indexes[index]}]{rest}" if index < len(self.indexes) else found[0]


def needs_resources(pools: Iterable[Any]) -> bool:
    """Whether a pool lacks what MetalLB knows."""
    return any(isinstance(pool, Mapping) and is_unset(pool.get("networks")) for pool in pools)


def join(pools: Sequence[Any], announced: Announced, host: str, ignored: Collection[str] = ()) -> Joined:
    """Return the pools of a host.

    :param ignored: names of address pools that are not declared on purpose.
    :raises InputErrors: a pool lacks something that MetalLB does not know either, or knows under another name.
    """
    errors = ErrorCollector()
    joined: list[Any] = []
    indexes: list[int] = []
    places: dict[str, str] = {}
    not_selected: list[str] = []
    warnings: list[str] = list(announced.warnings)
    for index, entry in enumerate(pools):
        complete = entry
        name = entry.get("name") if isinstance(entry, Mapping) else None
        pool = announced.pool(name) if isinstance(name, str) else None
        if pool is None:
            if isinstance(entry, Mapping):
                warnings += _unknown(errors, f"pools[{index}]", entry, announced)
        else:
            on_host = _on_host(announced, pool.name, host)
            if announced.of_pool(pool.name) and not on_host and pool.name not in announced.routed:
                not_selected.append(pool.name)
                continue
            complete = _completed(errors, f"pools[{index}]", entry, pool, on_host)
            warnings += _differences(complete, pool, on_host, announced)
            places.update(_places(f"pools[{len(joined)}]", entry, pool, on_host))
        joined.append(complete)
        indexes.append(index)
    errors.raise_if_any()
    warnings += _undeclared(pools, announced, ignored)
    return Joined(joined, tuple(indexes), places, tuple(not_selected), tuple(warnings))


def _on_host(announced: Announced, name: str, host: str) -> list[Announcement]:
    """Return the announcements of a pool that select the host, or may do so."""
    marks = announced.nodes.get(host, "")
    return [one for index, one in announced.of_pool(name) if marks[index : index + 1] != "0"]


def links(announcements: Iterable[Announcement]) -> tuple[str, ...]:
    """Return the links on which MetalLB announces a pool; none stands for all links."""
    every = list(announcements)
    return (
        () if any(not one.interfaces for one in every) else tuple(sorted({i for one in every for i in one.interfaces}))
    )


def _completed(
    errors: ErrorCollector, path: str, entry: Mapping[str, Any], pool: AnnouncedPool, on_host: Sequence[Announcement]
) -> dict[str, Any]:
    complete = dict(entry)
    if is_unset(entry.get("networks")):
        complete["networks"] = list(pool.networks)
    if is_unset(entry.get("interface")):
        on = links(on_host)
        if len(on) == 1:
            complete["interface"] = on[0]
        else:
            vlan = entry.get("vlan")
            example = f"{vlan.get('parent')}.{vlan.get('id')}" if isinstance(vlan, Mapping) else "eth0.100"
            remedy = f"Give interface, for example {example}, or name one link in the interfaces of an L2Advertisement."
            errors.add(f"{path}.interface", _why_no_interface(pool, on_host, on), remedy)
    return complete


def _why_no_interface(pool: AnnouncedPool, on_host: Sequence[Announcement], on: Sequence[str]) -> str:
    missing = "the interface that clients' packets arrive on is missing"
    if not on_host:
        return f"{missing}, and no L2Advertisement is for {pool.name} ({pool.place})"
    if not on:
        open_one = next(one for one in on_host if not one.interfaces)
        return f"{missing}, and {open_one} names no interfaces, so MetalLB announces {pool.name} on all links"
    return f"{missing}, and MetalLB announces {pool.name} on {' and '.join(on)} ({comma_separated(map(str, on_host))})"


def _unknown(errors: ErrorCollector, path: str, entry: Mapping[str, Any], announced: Announced) -> Iterator[str]:
    """Refuse a pool that MetalLB does not have, or warn if it is complete without MetalLB."""
    name = entry.get("name")
    if not isinstance(name, str):
        return
    sources = comma_separated(announced.sources) or "no source"
    names = [pool.name for pool in announced.pools]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    problem = f"no IPAddressPool has the name {printable(name)} in {sources}"
    what = (
        f"Did you mean {' or '.join(near)}? " if near else f"There are {comma_separated(names, 8)}. " if names else ""
    )
    if is_unset(entry.get("networks")):
        errors.add(
            f"{path}.name", f"networks are not given, and {problem}", f"{what}Correct the name, or give networks."
        )
    else:
        yield f"pool {printable(name)}: {problem}. {what}MetalLB assigns no addresses of this pool."


def _places(
    path: str, entry: Mapping[str, Any], pool: AnnouncedPool, on_host: Sequence[Announcement]
) -> Iterator[tuple[str, str]]:
    if is_unset(entry.get("networks")):
        yield f"{path}.networks", f"{pool.place} (IPAddressPool {pool.name}) spec.addresses"
        yield from ((f"{path}.networks[{index}]", place) for index, place in enumerate(pool.paths))
    if is_unset(entry.get("interface")) and on_host:
        yield f"{path}.interface", f"{on_host[0].place} (L2Advertisement {on_host[0].name}) spec.interfaces"


def _differences(
    entry: Mapping[str, Any], pool: AnnouncedPool, on_host: Sequence[Announcement], announced: Announced
) -> Iterator[str]:
    """Yield how the declaration of a pool differs from what MetalLB does."""
    interface = entry.get("interface")
    on = links(on_host)
    if on and isinstance(interface, str):
        others = [link for link in on if link != interface]
        if interface not in on:
            yield (
                f"pool {pool.name} is declared on {interface}, but MetalLB announces it on {' and '.join(on)}"
                f" ({comma_separated(map(str, on_host))}), so no request arrives on {interface}. Correct one of the two; the"
                " playbook advertise prints the L2Advertisement that fits."
            )
        elif others:
            yield (
                f"pool {pool.name} is declared on {interface}, but MetalLB announces it on {' and '.join(others)}, too"
                f" ({comma_separated(map(str, on_host))}). Requests that arrive there are answered through {interface}. Name only"
                f" {interface} in interfaces."
            )
    if not on_host and pool.name not in announced.routed:
        yield (
            f"pool {pool.name}: no L2Advertisement and no BGPAdvertisement is for it ({pool.place}), so MetalLB does not announce"
            " its addresses. Create one; the playbook advertise prints it."
        )
    yield from _other_networks(entry, pool)
    nodes = [node for node, marks in announced.outside.items() if _may_announce(announced, pool.name, marks)]
    if nodes:
        yield (
            f"pool {pool.name}: MetalLB can announce it from {comma_separated(nodes)}, nodes of the cluster that are not hosts of"
            " this run. Add them to the inventory, or exclude them with nodeSelectors."
        )


def _may_announce(announced: Announced, name: str, marks: str) -> bool:
    return any(marks[index : index + 1] != "0" for index, _one in announced.of_pool(name))


def _other_networks(entry: Mapping[str, Any], pool: AnnouncedPool) -> Iterator[str]:
    """Yield a warning if declared networks lack addresses that MetalLB assigns."""
    given = entry.get("networks")
    written = given.split(",") if isinstance(given, str) else given if isinstance(given, (list, tuple)) else ()
    missing = _missing(pool.networks, [text for text in written if isinstance(text, str)])
    if missing:
        yield (
            f"pool {pool.name}: its networks lack {comma_separated(missing)}, which MetalLB assigns ({pool.place}). Replies from"
            " these addresses take the node's default route. Add them, or leave networks out."
        )


def _undeclared(pools: Sequence[Any], announced: Announced, ignored: Collection[str]) -> Iterator[str]:
    declared = {str(pool.get("name")) for pool in pools if isinstance(pool, Mapping)}
    for pool in announced.pools:
        if pool.name not in declared and pool.name not in ignored:
            yield (
                f"pool {pool.name} of MetalLB ({pool.place}) is not in metallb_routing_pools, so no link is known for it, and"
                " replies from its addresses take the node's default route. Declare it with its name, or add the name to"
                " ignored_pools in metallb_routing_metallb."
            )


def _missing(assigned: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Return the entries of MetalLB's addresses that the declared networks do not contain completely."""
    try:
        inside = [_span(text) for text in declared]
        return [text for text in assigned if not _covered(_span(text), inside)]
    except ValueError:
        return []  # the engine reports what is invalid


def _span(text: str) -> tuple[int, int, int]:
    """Return the IP version, the first and the last address of a network or range, as numbers."""
    first, dash, last = text.partition("-")
    if dash:
        low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
        return low.version, int(low), int(high)
    network = ipaddress.ip_network(text.strip())
    return network.version, int(network.network_address), int(network.broadcast_address)


def _covered(span: tuple[int, int, int], by: Iterable[tuple[int, int, int]]) -> bool:
    version, first, last = span
    for _version, low, high in sorted(one for one in by if one[0] == version):
        if low <= first <= high:
            first = high + 1
    return first > last
