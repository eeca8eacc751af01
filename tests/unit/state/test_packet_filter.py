# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules drop a request because of its source; tests/kernel/delivery/test_findings.py tries them with packets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.iptables_filters import filter_chains
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.iptables_save import parse_save
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.packet_filter import (
    PROTOCOL,
    ArrivingPacket,
    SourceCheck,
    dropped_by,
)

#: A request on eth1; only a lookup with its mark leads back over the link.
REQUEST = ArrivingPacket(
    "ipv4", "eth1", {PROTOCOL: (6, 17)}, 0x100, lambda check, uses_mark: uses_mark or not check.strict
)
CHECK = "-m rpfilter --invert -j DROP"


def culprits(*rules: str, table: str = "raw", packet: ArrivingPacket = REQUEST) -> list[str]:
    lines = [(table, f"-A {rule}") for rule in rules]
    return [rule.text for _chain, rule in dropped_by(packet, filter_chains(lines, "ipv4"))]


@pytest.mark.parametrize(
    ("rules", "table"),
    [
        ([f"PREROUTING {CHECK}"], "raw"),
        ([f"PREROUTING {CHECK}"], "mangle"),
        (["PREROUTING -m rpfilter --validmark --invert -j DROP"], "raw"),
        ([f"PREROUTING -i eth+ {CHECK}"], "raw"),
        ([f"PREROUTING ! -i eth0 {CHECK}"], "raw"),
        ([f"PREROUTING -p tcp {CHECK}"], "raw"),
        ([f"PREROUTING -m conntrack --ctstate NEW {CHECK}"], "raw"),
        (["PREROUTING -m set --match-set known src -j ACCEPT", f"PREROUTING {CHECK}"], "raw"),
        (["PREROUTING -i eth0 -j ACCEPT", f"PREROUTING {CHECK}"], "raw"),
        (["PREROUTING -j LOG --log-prefix x", f"PREROUTING {CHECK}"], "raw"),
        (["PREROUTING -j OWN", f"OWN {CHECK}"], "raw"),
        (["PREROUTING -m rpfilter --invert -j OWN", "OWN -j LOG", "OWN -j DROP"], "raw"),
        (["PREROUTING -j OWN", "OWN -m rpfilter -j RETURN", "OWN -j DROP"], "raw"),
        (["PREROUTING -g OWN", f"OWN -m mark --mark 0x0/0xff0000 {CHECK}"], "raw"),
    ],
    ids=str,
)
def test_a_rule_that_drops_a_request(rules: list[str], table: str) -> None:
    (text,) = culprits(*rules, table=table)
    assert "rpfilter" in text


@pytest.mark.parametrize(
    ("rules", "table"),
    [
        (["PREROUTING -m rpfilter --validmark --invert -j DROP"], "mangle"),
        (["PREROUTING -m rpfilter --loose --invert -j DROP"], "raw"),
        (["PREROUTING -m rpfilter --invert -j LOG"], "raw"),
        ([f"PREROUTING -i eth0 {CHECK}"], "raw"),
        ([f"PREROUTING -i eth10 {CHECK}"], "raw"),
        ([f"PREROUTING ! -i eth1 {CHECK}"], "raw"),
        ([f"PREROUTING -p icmp {CHECK}"], "raw"),
        (["PREROUTING -i eth1 -j ACCEPT", f"PREROUTING {CHECK}"], "raw"),
        (["PREROUTING -i eth1 -j OWN", f"PREROUTING {CHECK}", "OWN -j ACCEPT"], "raw"),
        (["PREROUTING -j OWN", "OWN -i eth1 -j RETURN", f"OWN {CHECK}"], "raw"),
        ([f"PREROUTING -m mark --mark 0x40000/0x40000 {CHECK}"], "raw"),
        ([f"OWN {CHECK}"], "raw"),
        (["PREROUTING -j DROP"], "raw"),
        (["PREROUTING -j OWN", "OWN -j PREROUTING", "OWN -j OWN"], "raw"),
    ],
    ids=str,
)
def test_rules_that_drop_no_request(rules: list[str], table: str) -> None:
    assert culprits(*rules, table=table) == []


def test_a_request_with_a_way_back_passes() -> None:
    assert culprits(f"PREROUTING {CHECK}", packet=replace(REQUEST, has_way_back=lambda _check, _mark: True)) == []
    assert culprits(f"PREROUTING {CHECK}", packet=replace(REQUEST, family="ipv6")) == []


def test_what_a_check_is_asked() -> None:
    asked: list[tuple[SourceCheck, bool]] = []

    def has_way_back(check: SourceCheck, uses_mark: bool) -> bool:
        asked.append((check, uses_mark))
        return True

    packet = replace(REQUEST, has_way_back=has_way_back)
    for table in ("raw", "mangle"):
        culprits("PREROUTING -m rpfilter --validmark --invert -j DROP", table=table, packet=packet)
    assert [(check.uses_mark, check.strict, uses_mark) for check, uses_mark in asked] == [
        (True, True, False),
        (True, True, True),
    ]


def test_the_lines_of_tables_with_a_check_are_kept() -> None:
    text = (
        "*raw\n:PREROUTING ACCEPT [0:0]\n:HOMEWARD-PREROUTING - [0:0]\n-A PREROUTING -j HOMEWARD-PREROUTING\n"
        f"[3:180] -A PREROUTING {CHECK}\n-A HOMEWARD-PREROUTING -j DROP\nCOMMIT\n"
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
    )
    assert parse_save(text, "legacy", "ipv4", Ownership()).source_filters == (
        ("raw", "-A PREROUTING -j HOMEWARD-PREROUTING"),
        ("raw", f"-A PREROUTING {CHECK}"),
    )
