# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprint of tables: another one after each change of a rule, the same one otherwise."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables.fingerprint import fingerprint
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import POOL_TABLES
from tests.kernel.iptables.world import STEMS, load, load_kube_proxy
from tests.support.namespace import Namespace

RULES = """\
*mangle
:HOMEWARD-X - [0:0]
-A PREROUTING -i eth0 -j HOMEWARD-X
-A HOMEWARD-X -p tcp -j MARK --set-xmark 0x100/0x1f00
-A HOMEWARD-X -p udp -j MARK --set-xmark 0x100/0x1f00
-A OUTPUT -j ACCEPT
COMMIT
*raw
-A PREROUTING -p udp -j ACCEPT
COMMIT
"""
CHANGES = {
    "a rule is added": "-t mangle -A HOMEWARD-X -j ACCEPT",
    "a rule is inserted": "-t mangle -I PREROUTING -j ACCEPT",
    "a rule is deleted": "-t mangle -D HOMEWARD-X 1",
    "a rule is replaced": "-t mangle -R HOMEWARD-X 1 -p tcp -j MARK --set-xmark 0x200/0x1f00",
    "a rule is replaced by an equal one with another mark": "-t raw -R PREROUTING 1 -p udp -j DROP",
    "a chain is flushed": "-t mangle -F HOMEWARD-X",
    "a table is flushed": "-t raw -F",
}


@pytest.fixture
def loaded(namespace: Namespace, variant: str) -> Namespace:
    """A namespace with kube-proxy's rules, and some in the tables that are looked at."""
    load_kube_proxy(namespace, variant)
    for family in STEMS:
        load(namespace, variant, family, RULES)
    return namespace


def of(namespace: Namespace, variant: str) -> bytes | None:
    return namespace.call(fingerprint, variant, POOL_TABLES)


@pytest.mark.parametrize("family", STEMS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_rule_changes_it(loaded: Namespace, variant: str, family: str, change: str) -> None:
    before = of(loaded, variant)
    assert before is not None
    assert of(loaded, variant) == before
    loaded.run([f"{STEMS[family]}-{variant}", "-w", *CHANGES[change].split()])
    assert of(loaded, variant) not in (None, before)


def test_order_counts(namespace: Namespace) -> None:
    """Also where the same rules move."""
    load(namespace, "nft", "ipv4", RULES)
    before = of(namespace, "nft")
    namespace.run(["nft", "insert rule ip mangle PREROUTING accept"])
    namespace.run(["nft", "-a", "list chain ip mangle PREROUTING"])
    assert of(namespace, "nft") != before


def test_rules_of_other_tables_and_counters_do_not_count(loaded: Namespace, variant: str) -> None:
    before = of(loaded, variant)
    loaded.run([f"iptables-{variant}", "-w", "-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT"])
    loaded.run(["ip", "link", "set", "lo", "up"])

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", 9))

    loaded.call(send)
    counters = [
        line for line in loaded.run([f"iptables-{variant}-save", "-c", "-t", "mangle"]).splitlines() if "ACCEPT" in line
    ]
    assert any(not line.startswith("[0:0]") for line in counters if "-A OUTPUT" in line)
    assert of(loaded, variant) == before


def test_a_table_that_is_made_again_is_another_one(namespace: Namespace) -> None:
    """Even if its rules get the same handles."""
    load(namespace, "nft", "ipv4", RULES)
    before = of(namespace, "nft")
    namespace.run(["nft", "flush ruleset"])
    load(namespace, "nft", "ipv4", RULES)
    assert of(namespace, "nft") != before


def test_looking_creates_no_table(namespace: Namespace, variant: str) -> None:
    assert of(namespace, variant) is not None
    assert namespace.run(["nft", "list tables"]) == ""
    assert namespace.call(Path("/proc/thread-self/net/ip_tables_names").read_text) == ""


def test_without_ctypes_legacy_tables_are_unknown(loaded: Namespace) -> None:
    def without() -> bytes | None:
        sys.modules["ctypes"] = None  # type: ignore[assignment] - what makes the import fail
        return fingerprint("legacy", POOL_TABLES)

    load(loaded, "legacy", "ipv4", RULES)
    assert loaded.call(without) is None
