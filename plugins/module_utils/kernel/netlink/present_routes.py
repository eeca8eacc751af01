# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that routes are present without a dump of large tables.

Tables of the collection are small, and the kernel dumps one of them if asked for it by number. Of the main table, which may have
a million routes of a daemon, only the most specific route to each destination is asked for (``RTM_F_FIB_MATCH``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ...errors import NodeError
from ...state import Ownership, Route
from ...state.family import full_length
from ...state.route import MAIN_TABLE
from ..families import kernel_families
from .codec import Fields, address_bytes
from .routes import is_table_entry, routes_of
from .rtnetlink import AF_OF_FAMILY, COMPAT_TABLE, RTM_GETROUTE, Rtnetlink
from .wire import Refusal, Request

_FIB_MATCH = 0x2000  # RTM_F_FIB_MATCH: answer with the route of the table, not with the path of a packet


def read_present(
    netlink: Rtnetlink, ownership: Ownership, names: Mapping[int, str], desired: Collection[Route]
) -> tuple[frozenset[Route], frozenset[Route]] | None:
    """Return the managed and the foreign routes in the tables of desired ones if all of these are present; None if that is unknown.

    Of the main table, only the desired routes are returned.

    :param names: interfaces by index.
    """
    if not netlink.filters_dumps:
        return None
    managed: set[Route] = set()
    foreign: set[Route] = set()
    try:
        for family, fields in _entries(netlink, desired):
            found = routes_of(netlink, family, fields, names, ownership)
            (managed if fields["proto"] == ownership.protocol else foreign).update(found)
    except NodeError:  # for one, a table without routes does not exist
        return None
    return (frozenset(managed), frozenset(foreign)) if managed.issuperset(desired) else None


def _entries(netlink: Rtnetlink, desired: Collection[Route]) -> Iterator[tuple[str, Fields]]:
    for family in kernel_families():
        own = AF_OF_FAMILY[family]
        routes = [route for route in desired if route.family == family]
        for table in sorted({route.table for route in routes} - {MAIN_TABLE}):
            request: Fields = {"family": own, "table": table if table < 256 else COMPAT_TABLE, "RTA_TABLE": table}
            for fields in netlink.dump_fields(RTM_GETROUTE, netlink.formats.route, f"{family} routes", request):
                if is_table_entry(fields):
                    yield family, fields
        addresses = sorted({route.destination.partition("/")[0] for route in routes if route.table == MAIN_TABLE})
        questions: list[Fields] = [
            {"family": own, "dst_len": full_length(family), "flags": _FIB_MATCH, "RTA_DST": address_bytes(address)}
            for address in addresses
        ]
        requests = [Request(RTM_GETROUTE, 0, netlink.formats.route.encode(question)) for question in questions]
        for answer in netlink.ask(requests, netlink.formats.route.decode):
            if not isinstance(answer, Refusal) and is_table_entry(answer):
                yield family, answer
