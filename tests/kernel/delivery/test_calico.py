# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside a chain that accepts known connections in mangle, as Calico's does, and that inserts its jump first again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, apply, assert_all_reached, assert_matrix, lab_of
from tests.lab import Cell, Lab
from tests.support.modules import Answer, warnings_of


@pytest.fixture(params=[("iptables", "nft"), ("nftables", "legacy")], ids="-".join)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab without any pool applied."""
    mode, variant = request.param
    with lab_of(kube_proxy=mode, variant=variant, rp_filter=1) as made:
        yield made


def start_calico(lab: Lab, action: str) -> None:
    """Create its chain as Felix does without host endpoints; ``action`` is its ``IptablesMangleAllowAction``."""
    for node in lab.nodes:
        for program in ("iptables", "ip6tables"):
            mangle = f"{program}-{lab.options.variant} -w -t mangle"
            node.run(f"{mangle} -N cali-PREROUTING")
            node.run(f"{mangle} -A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j {action}")
            node.run(f"{mangle} -A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j {action}")
    insert_first(lab)


def insert_first(lab: Lab) -> None:
    """Insert its jump first, as Felix does whenever another rule is first."""
    for node in lab.nodes:
        for program in ("iptables", "ip6tables"):
            mangle = f"{program}-{lab.options.variant} -w -t mangle"
            node.run(f"{mangle} -D PREROUTING -j cali-PREROUTING", check=False)
            node.run(f"{mangle} -I PREROUTING -j cali-PREROUTING")


def apply_beside(lab: Lab) -> list[Answer]:
    """Apply the pool in the variant of iptables that Calico uses."""
    return apply(lab, iptables_variant=lab.options.variant)


def warned(answers: list[Answer]) -> list[bool]:
    """Whether each node was warned of the chain."""
    return [any("cali-PREROUTING" in text for text in warnings_of(answer)) for answer in answers]


def test_packets_that_it_accepts_before_the_marks_are_lost_until_the_next_apply(lab: Lab) -> None:
    start_calico(lab, "ACCEPT")
    assert warned(apply_beside(lab)) == [True, True]
    assert_matrix(lab)
    insert_first(lab)
    outside = [Cell("outside", "lo-p1", "tcp", 4), Cell("outside", "ds-cl-p1", "tcp", 6)]
    assert [one.reached for one in lab.deliver(outside, timeout=LOST_TIMEOUT)] == [False, False]
    apply_beside(lab)
    assert_all_reached(lab, lab.deliver(outside))


def test_packets_that_it_returns_are_not_lost(lab: Lab) -> None:
    start_calico(lab, "RETURN")
    assert warned(apply_beside(lab)) == [False, False]
    insert_first(lab)
    assert_matrix(lab)
