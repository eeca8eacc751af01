# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside a chain that does with known connections what Calico's does in mangle, and puts itself first again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.delivery.lab import LOST, apply, assert_all_reached, lab_of, try_all
from tests.lab import Cell, Lab
from tests.support.modules import Answer, warnings_of

pytest_plugins = ["tests.kernel.delivery.count"]


@pytest.fixture(params=[("iptables", "nft"), ("nftables", "legacy")], ids="-".join)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab in which nothing is applied."""
    mode, variant = request.param
    with lab_of(kube_proxy=mode, variant=variant, rp_filter=1) as made:
        yield made


def start_calico(lab: Lab, action: str) -> None:
    """Make its chain as felix does, without host endpoints; ``action`` is its ``IptablesMangleAllowAction``."""
    for node in lab.nodes:
        for program in ("iptables", "ip6tables"):
            mangle = f"{program}-{lab.options.variant} -w -t mangle"
            node.run(f"{mangle} -N cali-PREROUTING")
            node.run(f"{mangle} -A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -j {action}")
            node.run(f"{mangle} -A cali-PREROUTING -m mark --mark 0x10000/0x10000 -j {action}")
    come_first(lab)


def come_first(lab: Lab) -> None:
    """Put its jump first, as felix does whenever it looks and something else is there."""
    for node in lab.nodes:
        for program in ("iptables", "ip6tables"):
            mangle = f"{program}-{lab.options.variant} -w -t mangle"
            node.run(f"{mangle} -D PREROUTING -j cali-PREROUTING", check=False)
            node.run(f"{mangle} -I PREROUTING -j cali-PREROUTING")


def apply_beside(lab: Lab) -> list[Answer]:
    """Make the nodes right in the variant of iptables that the neighbour uses."""
    return apply(lab, iptables_variant=lab.options.variant)


def told(answers: list[Answer]) -> list[bool]:
    """Whether each node was told of the chain."""
    return [any("cali-PREROUTING" in text for text in warnings_of(answer)) for answer in answers]


def test_what_it_takes_past_our_marks_is_lost_until_the_next_apply(lab: Lab) -> None:
    start_calico(lab, "ACCEPT")
    assert told(apply_beside(lab)) == [True, True]
    assert_all_reached(try_all(lab))
    come_first(lab)
    outside = [Cell("outside", "lo-p1", "tcp", 4), Cell("outside", "ds-cl-p1", "tcp", 6)]
    assert [one.reached for one in lab.deliver(outside, timeout=LOST)] == [False, False]
    apply_beside(lab)
    assert_all_reached(lab.deliver(outside))


def test_what_it_hands_back_is_not_lost_wherever_it_stands(lab: Lab) -> None:
    start_calico(lab, "RETURN")
    assert told(apply_beside(lab)) == [False, False]
    come_first(lab)
    assert_all_reached(try_all(lab))
