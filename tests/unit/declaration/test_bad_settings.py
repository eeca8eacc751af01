# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that would conflict with other programs, or cannot work."""

from __future__ import annotations

import pytest

from tests.unit.declaration.flaws import Flaw, check


def setting(name: str, value: object, *words: str) -> Flaw:
    return Flaw({name: value}, name, words)


MARK_MASK = [
    setting("mark_mask", 0, "0 is not between 1 and 4294967295", "0x1f00"),
    setting("mark_mask", "0x0", "0 is not between"),
    setting("mark_mask", "0x1fffffff00", "not between"),
    setting("mark_mask", -1, "-1 is not between"),
    setting("mark_mask", "0x1700", "0x1700 has gaps"),
    setting("mark_mask", 0x101, "0x101 has gaps"),
    setting("mark_mask", "0x4000", "0x4000 contains 0x4000", "kube-proxy"),
    setting("mark_mask", "0xff00", "0xff00 contains 0xc000", "kube-proxy"),
    setting("mark_mask", "0xffffffff", "contains 0xc000"),
    setting("mark_mask", "1f00", "1f00 is not a whole number"),
    setting("mark_mask", True, "true is not a whole number"),
    setting("mark_mask", [0x1F00], "a list is not a whole number"),
]

PRIORITY_BASE = [
    setting("priority_base", 0, "the kernel's rule for the local table"),
    setting("priority_base", -5, "is not above 0"),
    setting("priority_base", 1000, "VRFs (l3mdev)", "Calico", "Cilium"),
    setting("priority_base", 1001, "AWS", "Cilium's moved rule"),
    setting("priority_base", 1999, "before 2000"),
    setting("priority_base", 31001, "no 1,000 priorities before 32000"),
    setting("priority_base", "high", "high is not a whole number"),
    setting("priority_base", 10**40, "more than 64 bits"),
]

OTHERS = [
    setting("table_base", 0, "not between 256 and"),
    setting("table_base", 255, "not between 256 and"),
    setting("table_base", 0xFFFFFFFF, "not between"),
    setting("table_base", "main", "main is not a whole number"),
    setting("protocol", -1, "not between 0 and 255"),
    setting("protocol", 256, "not between 0 and 255"),
    setting("protocol", "static", "static is not a whole number"),
    *(setting("protocol", number, "the kernel and to administrators") for number in range(5)),
    setting("protocol", 11, "zebra"),
    setting("protocol", 12, "BIRD"),
    setting("protocol", 16, "DHCP"),
    setting("protocol", 18, "keepalived"),
    setting("protocol", 42, "Babel"),
    setting("protocol", 80, "Calico"),
    *(setting("protocol", number, "belongs to") for number in range(186, 199)),
    setting("iptables_variant", "iptables", "iptables is not one of the choices", "auto, nft, legacy"),
    setting("iptables_variant", 1, "1 is not one of the choices"),
]


@pytest.mark.parametrize("flaw", MARK_MASK + PRIORITY_BASE + OTHERS, ids=str)
def test_only_the_flaw_is_refused(flaw: Flaw) -> None:
    check(flaw)
