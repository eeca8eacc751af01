# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kernel where it would route a packet: one request for each question, no dump."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping, Sequence

from ...state.family import IPV4, IPV6, full_length
from ...state.route_lookup import RouteAnswer, RouteQuestion
from .codec import Fields, address_bytes
from .routes import route_of
from .rtnetlink import AF_OF_FAMILY, RTM_GETROUTE, Rtnetlink
from .wire import Refusal, Request

#: RTM_F_LOOKUP_TABLE: name the table of the route. IPv6 always does, and refuses the flag.
_LOOKUP_TABLE = {IPV4: 0x1000, IPV6: 0}
_RTA_UID = "RTA_25"  # pyroute2 has no name for it


_NO_LINK = RouteAnswer("", refusal="ENODEV: no such interface", errno=errno.ENODEV)


def look_up(
    netlink: Rtnetlink, questions: Sequence[RouteQuestion], names: Mapping[int, str]
) -> tuple[RouteAnswer, ...]:
    """Return the kernel's answers, in the order of the questions.

    A packet that arrives on a link is validated like a real one (``rp_filter``, martian addresses), so it may be refused.

    :param names: interfaces by index; a question about any other gets a refusal.
    :raises NodeError: an answer is missing or damaged.
    """
    indexes = {name: index for index, name in names.items()}
    known = [one for one in questions if all(not name or name in indexes for name in (one.iif, one.oif))]
    requests = [_request(netlink, question, indexes) for question in known]
    answers = netlink.ask(requests, netlink.formats.route.decode) if requests else []
    found = {question: _answer(question.family, answer, names) for question, answer in zip(known, answers)}
    return tuple(found.get(question, _NO_LINK) for question in questions)


def _request(netlink: Rtnetlink, question: RouteQuestion, indexes: Mapping[str, int]) -> Request:
    length = full_length(question.family)
    fields: Fields = {
        "family": AF_OF_FAMILY[question.family],
        "dst_len": length,
        "flags": _LOOKUP_TABLE[question.family],
        "RTA_DST": address_bytes(question.destination),
    }
    if question.source:
        fields.update({"src_len": length, "RTA_SRC": address_bytes(question.source)})
    if question.iif:
        fields["RTA_IIF"] = indexes[question.iif]
    if question.oif:
        fields["RTA_OIF"] = indexes[question.oif]
    if question.uid or (question.iif and question.family == IPV6):
        # Forwarded packets are root's (ip6_route_input, net/ipv6/route.c), but questions about them nobody's by default.
        fields[_RTA_UID] = question.uid.to_bytes(4, sys.byteorder)
    if question.mark:
        fields["RTA_MARK"] = question.mark
    return Request(RTM_GETROUTE, 0, netlink.formats.route.encode(fields))


def _answer(family: str, answer: Fields | Refusal, names: Mapping[int, str]) -> RouteAnswer:
    if isinstance(answer, Refusal):
        return RouteAnswer("", refusal=str(answer), errno=answer.errno)
    route = route_of(family, answer, names)
    return RouteAnswer(route.type, route.interface, route.gateway, route.table)
