# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that cannot be done: the reason is the kernel's, and exactly what is reported as done took effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Address, Link, Route, Rule
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import StateObject, Step
from tests.support import ip_witness
from tests.support.namespace import Namespace
from tests.support.steps import add, change, delete, write

PREPARED = (
    "link add down0 type veth peer name taken0",
    "link set taken0 alias foreign",
    "rule add iif eth0 lookup 7701 priority 2100 protocol 77",
)
MACVLAN = Link("pool0.100", "macvlan", "eth0", mtu=1400)
NETWORK4 = Route("ipv4", 7701, "10.9.8.0/24", interface="eth0")
NETWORK6 = Route("ipv6", 7701, "fd09::/64", interface="eth0")
UNREACHABLE4 = Route("ipv4", 7701, "0.0.0.0/0", gateway="192.0.2.1", interface="eth0")
UNREACHABLE6 = Route("ipv6", 7701, "::/0", gateway="fd55::1", interface="eth0")
NO_LINK = "ENODEV: there is no interface missing0 ("
ROWS: list[tuple[list[Step], str]] = [
    (add(replace(MACVLAN, name="taken0")), "EEXIST: File exists ("),
    (add(replace(MACVLAN, parent="missing0")), NO_LINK),
    (delete(MACVLAN), "ENODEV: there is no interface pool0.100 ("),
    (add(Address("eth0", "10.0.0.1/16")), "EEXIST: "),
    (add(Address("eth0", "fd00::1/64")), "EEXIST: "),
    (add(Address("missing0", "1.2.3.4/32")), NO_LINK),
    (delete(Address("eth0", "1.2.3.201/32")), "EADDRNOTAVAIL: "),
    (delete(Address("eth0", "fd00:1:2:3::201/128")), "EADDRNOTAVAIL: "),
    (add(UNREACHABLE4), "ENETUNREACH: Nexthop has invalid gateway ("),
    (add(UNREACHABLE6), "EHOSTUNREACH: No route to host ("),
    (add(replace(NETWORK4, interface="down0")), "ENETDOWN: Device for nexthop is not up ("),
    (add(replace(NETWORK4, interface="missing0")), NO_LINK),
    (add(replace(NETWORK4, destination="10.9.8.1/24")), "EINVAL: Invalid prefix for given prefix length"),
    (add(Route("ipv4", 254, "10.0.0.0/16", interface="eth0")), "EEXIST: File exists ("),
    (delete(NETWORK4), "ESRCH: "),
    (delete(NETWORK6), "ESRCH: "),
    ([change(NETWORK4, replace(NETWORK4, gateway="10.0.0.2"))], "ENOENT: "),
    ([change(NETWORK6, replace(NETWORK6, gateway="fd00::2"))], "ENOENT: "),
    (add(Rule("ipv4", 2000, "goto", goto=1999)), "EINVAL: Backward goto not supported"),
    (add(Rule("ipv4", 2000, "lookup", 0)), "EINVAL: a rule with the action lookup needs a table"),
    (add(Rule("ipv4", 2000, "lookup", 7701, fwmark=-1, fwmask=1)), "EINVAL: FRA_FWMARK cannot be -1"),
    (delete(Rule("ipv4", 2100, "lookup", 7701)), "ENOENT: "),
]


@pytest.mark.parametrize(("steps", "reason"), ROWS, ids=[str(steps[0]) for steps, _reason in ROWS])
def test_a_refused_step_has_the_kernels_reason_and_changes_nothing(
    namespace: Namespace, steps: list[Step], reason: str
) -> None:
    namespace.ip(*PREPARED)
    before = ip_witness.everything(namespace)
    outcome = write(namespace, steps)
    assert outcome.failed == steps[0]
    assert outcome.reason.startswith(reason)
    assert ip_witness.everything(namespace) == before


def test_disabled_ipv6_is_named_as_the_cause(namespace: Namespace) -> None:
    namespace.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/peer0/disable_ipv6"])
    reason = write(namespace, add(Address("peer0", "fd00:1:2:3::201/128"))).reason
    assert reason.startswith("EACCES: ")
    assert "disable_ipv6" in reason


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ([Address("eth0", f"1.2.{i // 200}.{i % 200 + 1}/32") for i in range(300)], Address("eth0", "10.0.0.1/16")),
        ([replace(NETWORK4, destination=f"172.16.{i}.0/24") for i in range(250)], UNREACHABLE4),
        ([Rule("ipv4", 2000 + i, "lookup", 7701) for i in range(500)], Rule("ipv4", 2600, "goto", goto=1)),
    ],
    ids=["address", "route", "rule"],
)
def test_a_failure_reports_exactly_what_took_effect(
    namespace: Namespace, good: list[StateObject], bad: StateObject
) -> None:
    """The kernel continues within the batch, and no further batch is sent."""
    before = ip_witness.objects(namespace, type(bad))
    steps = add(*good[:100], bad, *good[100:])
    outcome = write(namespace, steps)
    assert outcome.failed == steps[100]
    assert {step.after for step in outcome.done} == ip_witness.objects(namespace, type(bad)) - before
    assert 100 < len(outcome.done) < len(good)


def test_no_step_after_one_with_a_missing_link_is_sent(namespace: Namespace) -> None:
    good = [replace(NETWORK4, destination=f"172.16.{i}.0/24") for i in range(5)]
    steps = add(*good[:3], replace(NETWORK4, interface="missing0"), *good[3:])
    outcome = write(namespace, steps)
    assert (outcome.done, outcome.failed) == (tuple(steps[:3]), steps[3])
    assert ip_witness.routes(namespace) == set(good[:3])


def test_a_second_failure_is_reported_too(namespace: Namespace) -> None:
    bad = [replace(UNREACHABLE4, metric=metric) for metric in (1, 2)]
    outcome = write(namespace, add(*bad))
    assert outcome.failed == add(bad[0])[0]
    more = "1 more failed, the first of them: add route default via 192.0.2.1 dev eth0 table 7701 metric 2"
    assert more in outcome.reason
