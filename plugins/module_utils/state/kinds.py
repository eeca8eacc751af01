# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of kinds: which objects a node can have, in the order in which they are created."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .address import Address
from .chain import Chain, ChainSet
from .file import File
from .link import Link
from .route import Route
from .rule import Rule
from .sysctl import Sysctl
from .unit import Unit

#: What announces that objects of a kind changed: rtnetlink(7), nftables (nfnetlink), or nothing.
RTNETLINK, NFTABLES, SILENT = "rtnetlink", "nftables", ""


def _itself(item: Any) -> Collection[Any]:
    return (item,)


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    :param name: of one object, in steps, messages and metrics.
    :param plural: of many: the field of :class:`NodeState`, the key in the diff, in the state file and in ``status``.
    :param value: class of its objects.
    :param saved: whether the state file holds it, and so the agent reconciles it. Files and units make
        the state persistent and are not part of it.
    :param events: one of :data:`RTNETLINK`, :data:`NFTABLES` and :data:`SILENT`.
    :param on_link: whether the kernel removes it with the link that its ``interface`` names.
    :param part: class of the parts of its objects, None if they have none; the parts are what is saved and counted.
    :param parts: returns the parts of an object, or the object itself.
    """

    name: str
    plural: str
    value: type
    saved: bool = True
    events: str = SILENT
    on_link: bool = False
    part: type | None = None
    parts: Callable[[Any], Collection[Any]] = _itself


FILE = Kind("file", "files", File, saved=False)
LINK = Kind("link", "links", Link, events=RTNETLINK)
SYSCTL = Kind("sysctl", "sysctls", Sysctl, events=RTNETLINK, on_link=True)
ADDRESS = Kind("address", "addresses", Address, events=RTNETLINK, on_link=True)
ROUTE = Kind("route", "routes", Route, events=RTNETLINK, on_link=True)
CHAINS = Kind("chains", "chains", ChainSet, events=NFTABLES, part=Chain, parts=lambda item: item.chains)
RULE = Kind("rule", "rules", Rule, events=RTNETLINK)
UNIT = Kind("unit", "units", Unit, saved=False)

#: In order of creation: each kind after those that it depends on. Removal runs in reverse.
KINDS = (FILE, LINK, SYSCTL, ADDRESS, ROUTE, CHAINS, RULE, UNIT)
SAVED = tuple(kind for kind in KINDS if kind.saved)
#: In the order in which a request meets them; no packet meets the others.
PACKET_ORDER = (LINK, ADDRESS, SYSCTL, CHAINS, RULE, ROUTE)
BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}


def plurals(kinds: Iterable[Kind]) -> frozenset[str]:
    """Return the fields of :class:`NodeState` that hold these kinds."""
    return frozenset(kind.plural for kind in kinds)


def announced_by(events: str) -> frozenset[str]:
    """Return the fields of :class:`NodeState` whose changes these events announce."""
    return plurals(kind for kind in SAVED if kind.events == events)
