# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a state can be had now: a route needs its link, a VLAN its parent. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Link, Node, NodeState


@dataclass(frozen=True)
class Reach:
    """The part of a state that this node can have at present.

    :param waiting: one sentence per thing that the rest waits for.
    """

    state: NodeState
    waiting: tuple[str, ...] = ()


def within_reach(wanted: NodeState, node: Node) -> Reach:
    """Return what can be made now; rules and chains name interfaces that need not be there yet, so they always can."""
    links = {link for link in wanted.links if not _why_not(link, node)}
    waiting = [f"link {link.name} waits: {_why_not(link, node)}" for link in sorted(wanted.links - links)]
    made = {link.name for link in links}
    usable = made | {
        item.name for item in node.interfaces.values() if item.up and item.name not in _names(wanted.links)
    }
    present = made | set(node.interfaces)
    needed = {route.interface for route in wanted.routes if route.interface}
    for name in sorted(needed - usable - _names(wanted.links)):
        waiting.append(f"routes over {name} wait: {'it is down' if name in present else 'it is not there'}")
    state = replace(
        wanted,
        links=frozenset(links),
        addresses=frozenset(item for item in wanted.addresses if item.interface in present),
        sysctls=frozenset(item for item in wanted.sysctls if not item.interface or item.interface in present),
        routes=frozenset(item for item in wanted.routes if not item.interface or item.interface in usable),
    )
    return Reach(state, tuple(waiting))


def _names(links: frozenset[Link]) -> set[str]:
    return {link.name for link in links}


def _why_not(link: Link, node: Node) -> str:
    """Return why the link cannot be made, or ``""``."""
    existing = node.interfaces.get(link.name)
    if existing is not None and not existing.ours:
        return f"{link.name} exists already and is not ours"
    parent = node.interfaces.get(link.parent)
    if link.parent and parent is None:
        return f"its parent {link.parent} is not there"
    if parent is not None and not parent.up:
        return f"its parent {link.parent} is down"
    return ""
