# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a state can be had now: a route needs its link, a VLAN its parent. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ..state import Link, Node, NodeState


@dataclass(frozen=True)
class Reach:
    """The part of a state that this node can have at present.

    :param waiting: one sentence per thing that the rest waits for.
    """

    state: NodeState
    waiting: tuple[str, ...] = ()


def within_reach(wanted: NodeState, node: Node) -> Reach:
    """Return what can be made now; rules and chains name interfaces that need not be there yet, so they always can.

    A link of ours that is there stays even while its parent is down: deleting it would take what others put on it. The
    same link made by somebody else stays theirs, and carries our routes.
    """
    obstacles = {link: why for link, why in ((link, _why_not(link, node)) for link in wanted.links) if why}
    made = {link.name for link in wanted.links - obstacles.keys()}
    unusable = {link.name for link in obstacles if not _is_same(link, node)}
    usable = made | {item.name for item in node.interfaces.values() if item.up and item.name not in unusable}
    present = made | set(node.interfaces)
    waiting = [f"link {link.name} waits: {why}" for link, why in sorted(obstacles.items())]
    names = {link.name for link in wanted.links}
    for name in sorted({route.interface for route in wanted.routes} - usable - names - {""}):
        waiting.append(f"routes over {name} wait: {'it is down' if name in present else 'it is not there'}")
    state = replace(
        wanted,
        links=(wanted.links - obstacles.keys()) | _kept_as_they_are(obstacles, node),
        addresses=frozenset(item for item in wanted.addresses if item.interface in present),
        sysctls=frozenset(item for item in wanted.sysctls if not item.interface or item.interface in present),
        routes=frozenset(item for item in wanted.routes if not item.interface or item.interface in usable),
    )
    return Reach(state, tuple(waiting))


def _is_same(link: Link, node: Node) -> bool:
    """Whether the link that is there under the name, whoever made it, is one like ours."""
    there = node.interfaces.get(link.name)
    return there is not None and link.same_device(Link(there.name, there.kind, there.parent, there.vlan_id))


def _kept_as_they_are(links: Collection[Link], node: Node) -> frozenset[Link]:
    present = {link.name: link for link in node.managed.links}
    return frozenset(present[link.name] for link in links if link.name in present)


def _why_not(link: Link, node: Node) -> str:
    """Return why the link cannot be made, or ``""``."""
    existing = node.interfaces.get(link.name)
    if existing is not None and not existing.managed:
        return f"{link.name} exists already and is not ours"
    parent = node.interfaces.get(link.parent)
    if link.parent and parent is None:
        return f"its parent {link.parent} is not there"
    if parent is not None and not parent.up:
        return f"its parent {link.parent} is down"
    return ""
