# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of a desired state a node can have now: a route needs its link, a VLAN its parent. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from ..state import Link, Node, NodeState
from ..state.kinds import KINDS, ROUTE


@dataclass(frozen=True)
class Feasible:
    """The part of a desired state that the node can have now.

    :param waiting: a sentence for each thing that the rest waits for.
    """

    state: NodeState
    waiting: tuple[str, ...] = ()


def feasible_part(desired: NodeState, node: Node) -> Feasible:
    """Return what can be created now; rules and chains always can, as they may name links that do not exist.

    A managed link stays even while its parent is down: deleting it would delete what others have configured on it. A
    foreign link that is the same device stays foreign, and carries managed routes.
    """
    obstacles = {link: reason for link, reason in ((link, _obstacle(link, node)) for link in desired.links) if reason}
    possible = {link.name for link in desired.links - obstacles.keys()}
    unusable = {link.name for link in obstacles if not _exists(link, node)}
    usable = possible | {item.name for item in node.interfaces.values() if item.up and item.name not in unusable}
    existing = possible | set(node.interfaces)
    waiting = [f"link {link.name} waits: {reason}" for link, reason in sorted(obstacles.items())]
    names = {link.name for link in desired.links}
    for name in sorted({route.interface for route in desired.routes} - usable - names - {""}):
        waiting.append(f"routes over {name} wait: the link {'is down' if name in existing else 'does not exist'}")
    on_links: dict[str, frozenset[Any]] = {
        kind.plural: frozenset(
            item
            for item in desired.of(kind)
            if not item.interface or item.interface in (usable if kind is ROUTE else existing)
        )
        for kind in KINDS
        if kind.on_link
    }
    links = (desired.links - obstacles.keys()) | _unchanged(obstacles, node)
    return Feasible(replace(desired, links=links, **on_links), tuple(waiting))


def _exists(link: Link, node: Node) -> bool:
    """Whether the node has this device, managed or foreign."""
    interface = node.interfaces.get(link.name)
    return interface is not None and link.same_device(
        Link(interface.name, interface.kind, interface.parent, interface.vlan_id)
    )


def _unchanged(links: Collection[Link], node: Node) -> frozenset[Link]:
    """Return the managed links of these names as they are now."""
    current = {link.name: link for link in node.managed.links}
    return frozenset(current[link.name] for link in links if link.name in current)


def _obstacle(link: Link, node: Node) -> str:
    """Return why the link cannot be created or changed now, or ``""``."""
    existing = node.interfaces.get(link.name)
    if existing is not None and not existing.managed:
        return f"{link.name} already exists and is managed by someone else"
    parent = node.interfaces.get(link.parent)
    if link.parent and parent is None:
        return f"its parent {link.parent} does not exist"
    if parent is not None and not parent.up:
        return f"its parent {link.parent} is down"
    return ""
