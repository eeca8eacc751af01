# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MetalLB announces, and from which nodes: the resources after all selectors are evaluated.

Computed once for a play, and written to a file, as each host of the play needs a part of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.values import comma_separated
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_resources import L2, Resources
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.metallb_selectors import (
    Labels,
    any_matches,
    unknown_keys,
)

_MARKS = {True: "1", False: "0", None: "?"}


@dataclass(frozen=True)
class AnnouncedPool:
    """An address pool; the parameters are those of :class:`AddressPool`."""

    name: str
    networks: tuple[str, ...]
    paths: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Announcement:
    """An advertisement of layer 2 with the pools that it selects.

    :param interfaces: none stands for all links.
    """

    name: str
    place: str
    pools: tuple[str, ...]
    interfaces: tuple[str, ...]

    def __str__(self) -> str:
        return f"{L2} {self.name} ({self.place})"


@dataclass(frozen=True)
class Announced:
    """What the sources say.

    :param sources: what was read, for messages.
    :param nodes: for each host, for each announcement: ``1`` if it selects the host, ``0`` if not, ``?`` if it is not known.
    :param routed: pools that a BGPAdvertisement announces, from any node.
    :param outside: nodes of the cluster that are not hosts of the run, as ``nodes``.
    """

    sources: tuple[str, ...] = ()
    pools: tuple[AnnouncedPool, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)
    routed: tuple[str, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def pool(self, name: str) -> AnnouncedPool | None:
        """Return the pool of this name."""
        return next((pool for pool in self.pools if pool.name == name), None)

    def of_pool(self, name: str) -> tuple[tuple[int, Announcement], ...]:
        """Return the announcements of a pool, each with its index."""
        return tuple((index, one) for index, one in enumerate(self.announcements) if name in one.pools)

    def dumps(self) -> str:
        """Return the text from which :func:`loads` makes an equal object."""
        return json.dumps(asdict(self))


def loads(text: str) -> Announced:
    """Return the object of :meth:`Announced.dumps`."""
    given = json.loads(text)
    pools = (
        AnnouncedPool(one["name"], tuple(one["networks"]), tuple(one["paths"]), one["place"]) for one in given["pools"]
    )
    announcements = (
        Announcement(one["name"], one["place"], tuple(one["pools"]), tuple(one["interfaces"]))
        for one in given["announcements"]
    )
    lists = {name: tuple(given[name]) for name in ("sources", "routed", "warnings")}
    return Announced(
        pools=tuple(pools),
        announcements=tuple(announcements),
        nodes=given["nodes"],
        outside=given["outside"],
        **lists,
    )


def evaluate(
    resources: Resources,
    sources: Sequence[str],
    hosts: Mapping[str, Labels],
    outside: Mapping[str, Labels] | None = None,
) -> Announced:
    """Evaluate all selectors.

    :param hosts: the hosts of the inventory that are nodes, with their labels.
    :param outside: the other nodes of the cluster.
    """
    layer2 = [one for one in resources.advertisements if one.kind == L2]
    others = [one for one in resources.advertisements if one.kind != L2]
    announcements = tuple(
        Announcement(
            one.name, one.place, tuple(pool.name for pool in resources.pools if one.selects(pool)), one.interfaces
        )
        for one in layer2
    )
    routed = (pool.name for pool in resources.pools if any(one.selects(pool) for one in others))
    selectors = [one.node_selectors for one in layer2]
    answers: dict[str, str] = {}
    unknown: dict[str, tuple[set[str], list[str]]] = {}  # announcement -> keys and hosts
    for host, labels in hosts.items():
        found = [any_matches(of_one, labels) if of_one else True for of_one in selectors]
        answers[host] = "".join(_MARKS[one] for one in found)
        for announcement, of_one, answer in zip(announcements, selectors, found):
            if answer is None:
                keys, names = unknown.setdefault(str(announcement), (set(), []))
                keys.update(unknown_keys(of_one, labels))
                names.append(host)
    return Announced(
        sources=tuple(sources),
        pools=tuple(AnnouncedPool(one.name, one.networks, one.paths, one.place) for one in resources.pools),
        announcements=announcements,
        nodes=answers,
        routed=tuple(routed),
        outside={
            node: "".join(_MARKS[any_matches(of_one, labels) if of_one else True] for of_one in selectors)
            for node, labels in (outside or {}).items()
        },
        warnings=(*_unknown(unknown), *_without_pools(resources)),
    )


def _unknown(unknown: Mapping[str, tuple[Iterable[str], Sequence[str]]]) -> Iterator[str]:
    for announcement, (keys, hosts) in unknown.items():
        yield (
            f"{announcement}: its nodeSelectors need the label {comma_separated(sorted(keys))}, of which no source says whether"
            f" {comma_separated(hosts)} have it. These hosts are configured for its pools. Set metallb_routing_node_labels"
            " for them, or set cluster: true in metallb_routing_metallb to read the labels from the cluster."
        )


def _without_pools(resources: Resources) -> Iterator[str]:
    names = {pool.name for pool in resources.pools}
    for one in resources.advertisements:
        missing = [name for name in one.pools if name not in names]
        if missing and names:
            yield (
                f"{one.kind} {one.name} ({one.place}) names {comma_separated(missing)}, but no source has such an IPAddressPool,"
                " so MetalLB ignores the name. Correct it, or add the pool's manifest to the sources."
            )
