# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules, written and read; the witness is ``ip -json``."""

from __future__ import annotations

import subprocess

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import Rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rules import (
    read_rules,
    write_rules,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Rule
from tests.support import ip_witness
from tests.support.namespace import Namespace
from tests.support.steps import FORMATS, OWNERSHIP, add, delete, read, succeed, write


def _rules_of(family: str) -> list[Rule]:
    source, destination = {"ipv4": ("10.9.8.0/24", "10.1.2.3/32"), "ipv6": ("fd09::/64", "fd01::3/128")}[family]
    return [
        Rule(family, 2000, "goto", goto=2999, fwmask=0x1F00),
        Rule(family, 2999, "nop"),
        Rule(family, 2100, "blackhole", iif="eth0.100", destination=destination, fwmark=0x100, fwmask=0x1F00),
        Rule(family, 2101, "unreachable", source=source),
        Rule(family, 2102, "prohibit", oif="fifteen.letters"),
        Rule(family, 2500, "lookup", 254, iif="eth0.100", fwmark=0x100, fwmask=0x1F00),
        Rule(family, 2700, "lookup", 7701, fwmark=0x1F00, fwmask=0x1F00, invert=True),
        Rule(family, 2701, "lookup", 4294967295, source=source, destination=destination, suppress_prefixlength=0),
        Rule(family, 0, "lookup", 100, iif="lo", fwmark=0xFFFFFFFF, fwmask=0xFFFFFFFF),
        Rule(family, 2800, "goto", goto=2900),
    ]


RULES = (*_rules_of("ipv4"), *_rules_of("ipv6"))


def test_rules_are_written_read_back_and_deleted_without_a_trace(namespace: Namespace) -> None:
    before = ip_witness.everything(namespace)
    succeed(namespace, add(*RULES))
    assert ip_witness.rules(namespace) == set(RULES)
    assert read(namespace, Rule)[0] == set(RULES)
    succeed(namespace, delete(*reversed(RULES)))
    assert ip_witness.everything(namespace) == before


def test_an_existing_rule_is_not_added_again(namespace: Namespace) -> None:
    succeed(namespace, add(*RULES))
    for rule in RULES:
        assert write(namespace, add(rule)).reason.startswith("EEXIST: File exists (")
    assert len(namespace.ip_json("-4 rule")) == len(RULES) // 2 + 3


def _some_rules() -> some.SearchStrategy[list[Rule]]:
    rule = some.builds(
        Rule,
        family=some.just("ipv4"),
        priority=some.just(2100),
        action=some.sampled_from(["lookup", "goto", "blackhole"]),
        goto=some.sampled_from([2200, 2300]),
        table=some.sampled_from([7701, 7702]),
        source=some.sampled_from(["", "10.0.0.0/8"]),
        destination=some.sampled_from(["", "10.0.0.0/8", "10.1.0.0/16"]),
        iif=some.sampled_from(["", "eth0"]),
        oif=some.sampled_from(["", "eth0"]),
        fwmark=some.sampled_from([0, 0x100]),
        fwmask=some.sampled_from([0x100, 0x1F00]),
        invert=some.booleans(),
        suppress_prefixlength=some.sampled_from([-1, 0]),
    )
    return some.lists(rule.map(_canonical), min_size=2, max_size=8, unique=True)


def _canonical(rule: Rule) -> Rule:
    lookup = rule.action == "lookup"
    return Rule(
        rule.family,
        rule.priority,
        rule.action,
        rule.table if lookup else 0,
        rule.goto if rule.action == "goto" else 0,
        rule.source,
        rule.destination,
        rule.iif,
        rule.oif,
        rule.fwmark,
        rule.fwmask,
        rule.invert,
        rule.suppress_prefixlength if lookup else -1,
    )


def test_of_similar_rules_exactly_one_is_added_or_deleted(namespace: Namespace) -> None:
    namespace.call(_add_and_delete_similar)


def _add_and_delete_similar() -> None:
    """Add rules of one priority that differ in little, in one batch, then delete them in any order, one or two at a time."""

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(rules=_some_rules(), data=some.data())
    def check(rules: list[Rule], data: some.DataObject) -> None:
        subprocess.run(["ip", "rule", "flush", "protocol", "77"], check=True)  # left by a failed example
        with Rtnetlink(FORMATS) as netlink:
            write_rules(netlink, add(*rules), OWNERSHIP)
            left = set(rules)
            assert read_rules(netlink, OWNERSHIP)[0] == left
            order = data.draw(some.permutations(rules))
            while order:
                count = data.draw(some.integers(1, 2))
                part, order = order[:count], order[count:]
                write_rules(netlink, delete(*part), OWNERSHIP)
                left -= set(part)
                assert read_rules(netlink, OWNERSHIP)[0] == left

    check()


def test_foreign_rules_are_read_and_left_unchanged(namespace: Namespace) -> None:
    namespace.ip(
        "rule add from 10.9.8.0/24 lookup 7701 priority 2101",
        "rule add lookup 7701 priority 2102 uidrange 5-10",
        "rule add lookup 7701 priority 2103 ipproto tcp",
        "rule add lookup 7701 priority 2104 ipproto udp sport 53",
        "rule add lookup 7701 priority 2105 tun_id 7",
        "rule add lookup 7701 priority 2106 tos 0x10",
        "rule add lookup 7701 priority 2107 realms 3/4",
        "rule add lookup 7701 priority 2108 suppress_ifgroup 5",
        "rule add l3mdev priority 2109",
    )
    before = ip_witness.everything(namespace)
    foreign = {rule.priority: rule for rule in read(namespace, Rule)[1] if rule.family == "ipv4"}
    modelled = {rule.priority: rule for rule in ip_witness.rules(namespace, 0)}
    assert foreign.keys() == {0, 32766, 32767, *range(2101, 2110)}
    assert foreign[2101] == modelled[2101]
    for priority in range(2102, 2110):
        assert foreign[priority] != modelled[priority]
        assert foreign[priority].extra, str(foreign[priority])
    assert foreign[0] == Rule("ipv4", 0, "lookup", 255)

    managed = [modelled[priority] for priority in range(2101, 2109)]
    succeed(namespace, add(*managed))
    assert ip_witness.rules(namespace) == set(managed)
    succeed(namespace, delete(*managed))
    assert ip_witness.rules(namespace) == set()
    assert ip_witness.everything(namespace) == before


def test_a_managed_rule_with_extra_attributes_can_be_deleted_and_added_again(namespace: Namespace) -> None:
    namespace.ip(
        "rule add lookup 7701 priority 2102 protocol 77",
        "rule add lookup 7701 priority 2102 uidrange 5-10 protocol 77",
        "rule add lookup 7701 priority 2102 ipproto udp sport 53 protocol 77",
        "rule add lookup 7701 priority 2102 tos 0x10 protocol 77",
        "rule add l3mdev priority 2102 protocol 77",
    )
    before = namespace.ip_json("rule")
    odd = read(namespace, Rule)[0]
    assert len(odd) == 5
    plain = Rule("ipv4", 2102, "lookup", 7701)
    succeed(namespace, delete(plain))
    assert read(namespace, Rule)[0] == odd - {plain}
    succeed(namespace, add(plain))
    assert sorted(map(str, namespace.ip_json("rule"))) == sorted(map(str, before))
    succeed(namespace, delete(*sorted(odd)))
    assert read(namespace, Rule)[0] == set()
    succeed(namespace, add(*sorted(odd)))
    assert sorted(map(str, namespace.ip_json("rule"))) == sorted(map(str, before))
