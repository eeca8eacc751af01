# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions where the kernel would route a packet; the witness is ``ip -json route get``."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.route_lookup import look_up
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.route_lookup import (
    RouteAnswer,
    RouteQuestion,
)
from tests.support.namespace import Namespace
from tests.support.steps import inside

RULE6 = "ip -6 rule add fwmark 0x100/0x1f00 lookup 300 priority 2000"
PREPARED = (
    "route add default via 10.0.0.254 dev eth0",
    "route add default via fd00::fe dev eth0",
    "link add eth1 type veth peer name peer1",
    "link set eth1 up",
    "link set peer1 up",
    "address add 10.1.0.1/24 dev eth1",
    "address add fd01::1/64 dev eth1 nodad",
    "route add default via 10.1.0.254 dev eth1 table 300",
    "route add default via fd01::fe dev eth1 table 300",
    "rule add fwmark 0x100/0x1f00 lookup 300 priority 2000",
    "rule add from 10.1.0.1 lookup 300 priority 2001",
    "rule add to 10.2.0.0/16 prohibit priority 2002",
    "route add unreachable fd02::/16",
)
QUESTIONS = (
    RouteQuestion("ipv4", "10.0.0.7"),
    RouteQuestion("ipv4", "10.0.0.1"),
    RouteQuestion("ipv4", "9.9.9.9"),
    RouteQuestion("ipv4", "9.9.9.9", mark=0x2100),
    RouteQuestion("ipv4", "9.9.9.9", mark=0x200),
    RouteQuestion("ipv4", "9.9.9.9", source="10.1.0.1"),
    RouteQuestion("ipv4", "9.9.9.9", source="10.1.0.9", iif="eth1"),
    RouteQuestion("ipv4", "10.1.0.1", source="10.1.0.9", iif="eth1", mark=0x100),
    RouteQuestion("ipv6", "fd00::7"),
    RouteQuestion("ipv6", "2001:db8::1"),
    RouteQuestion("ipv6", "2001:db8::1", mark=0x100),
)
REFUSED = {
    RouteQuestion("ipv4", "10.2.0.1"): "EACCES: ",
    RouteQuestion("ipv4", "9.9.9.9", source="10.99.0.1"): "ENETUNREACH: ",
    RouteQuestion("ipv6", "fd02::1"): "EHOSTUNREACH: ",
}


@pytest.fixture
def prepared(namespace: Namespace) -> Namespace:
    namespace.ip(*PREPARED)
    namespace.run(["sh", "-ec", f"echo 1 > /proc/sys/net/ipv4/ip_forward; {RULE6}"])
    return namespace


def ask(namespace: Namespace, *questions: RouteQuestion) -> tuple[RouteAnswer, ...]:
    def here(netlink: Rtnetlink) -> tuple[RouteAnswer, ...]:
        return look_up(netlink, questions, dict(socket.if_nameindex()))

    return namespace.call(inside, here)


def seen(namespace: Namespace, question: RouteQuestion) -> RouteAnswer:
    words = f"{'-6' if question.family == 'ipv6' else '-4'} route get {question.destination}"
    words += f" from {question.source}" if question.source else ""
    words += f" iif {question.iif}" if question.iif else ""
    words += f" mark {question.mark}" if question.mark else ""
    shown: dict[str, Any] = namespace.ip_json(words)[0]
    tables = {"local": 255, "main": 254}
    table = tables.get(shown.get("table", "main"), shown.get("table", "main"))
    return RouteAnswer(shown.get("type", "unicast"), shown["dev"], shown.get("gateway", ""), int(table))


def test_answers_are_those_of_ip_route_get(prepared: Namespace) -> None:
    answers = ask(prepared, *QUESTIONS)
    assert dict(zip(QUESTIONS, answers, strict=True)) == {one: seen(prepared, one) for one in QUESTIONS}
    assert [answer.gateway for answer in answers[2:6]] == ["10.0.0.254", "10.1.0.254", "10.0.0.254", "10.1.0.254"]
    assert [answer.table for answer in answers[2:6]] == [254, 300, 254, 300]


def test_a_refusal_has_the_kernels_reason_and_the_others_are_answered(prepared: Namespace) -> None:
    questions = [question for refused in REFUSED for question in (refused, QUESTIONS[2])]
    answers = ask(prepared, *questions)
    assert {answer.gateway for answer in answers[1::2]} == {"10.0.0.254"}
    for answer, reason in zip(answers[::2], REFUSED.values(), strict=True):
        assert answer.type == ""
        assert answer.refusal.startswith(reason), answer


def test_a_thousand_questions_are_answered_in_order(prepared: Namespace) -> None:
    destinations = [f"10.{0 if number % 2 else 3}.{number // 250}.{number % 250 + 2}" for number in range(1000)]
    answers = ask(prepared, *(RouteQuestion("ipv4", destination) for destination in destinations))
    assert [answer.gateway for answer in answers] == ["10.0.0.254", ""] * 500
