# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign filters that drop requests of pools because of their source are named, and no others; packets are the witness."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT, apply, lab_of
from tests.lab import Cell, Lab
from tests.lab.situations import SITUATIONS, prepare
from tests.support.modules import warnings_of

DEDICATED, SHARED = "dedicated", "shared"
CELLS = [
    Cell(client, service, protocol, family)
    for client in ("outside", "onlink")
    for service, families in (("lo-p1", (4,)), ("lo-host1", (4,)), ("cl-p2", (4,)), ("ds-lo-p1", (4, 6)))
    for family in families
    for protocol in ("tcp", "udp")
]


def iptables(rule: str, variant: str = "nft") -> tuple[str, ...]:
    """Return the rule for both families."""
    return tuple(f"{program}-{variant} -w {rule}" for program in ("iptables", "ip6tables"))


def nft(rules: str, hook: str = "prerouting", priority: str = "filter + 10", family: str = "inet") -> tuple[str, ...]:
    chain = f"chain check {{ type filter hook {hook} priority {priority}; policy accept; {rules}; }}"
    return (f"nft 'table {family} check {{ {chain}; }}'",)


ND = "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept;"
ON_LINK = ("ip -6 route replace fd00:1:2:3::/64 dev {link}", "ip -4 route replace 1.2.3.0/24 dev {link}")


@dataclass(frozen=True)
class Filter:
    """lost: kinds of links on which cells are lost. text: what the warning names."""

    commands: tuple[str, ...]
    lost: tuple[str, ...] = (DEDICATED,)
    text: str = ""


FILTERS = {
    "rpfilter in raw": Filter(
        iptables("-t raw -A PREROUTING -m rpfilter --invert -j DROP"), text="-m rpfilter --invert"
    ),
    "rpfilter in mangle": Filter(
        iptables("-t mangle -A PREROUTING -m rpfilter --invert -j DROP"), text="-m rpfilter --invert"
    ),
    "legacy rpfilter": Filter(
        iptables("-t raw -A PREROUTING -m rpfilter --invert -j DROP", "legacy"), text="(iptables-legacy)"
    ),
    "validmark before the marks": Filter(
        iptables("-t raw -A PREROUTING -m rpfilter --validmark --invert -j DROP"), text="where packets have no mark"
    ),
    "validmark behind the marks": Filter(
        (*ON_LINK, *iptables("-t mangle -A PREROUTING -m rpfilter --validmark --invert -j DROP")), lost=()
    ),
    "loose": Filter(iptables("-t raw -A PREROUTING -m rpfilter --loose --invert -j DROP"), lost=()),
    "of another link": Filter(iptables("-t raw -A PREROUTING -i pod-+ -m rpfilter --invert -j DROP"), lost=()),
    "exempted link": Filter(iptables("-t raw -A PREROUTING ! -i {link} -m rpfilter --invert -j DROP"), lost=()),
    "accepted before": Filter(
        (
            *iptables("-t raw -A PREROUTING -i {link} -j ACCEPT"),
            *iptables("-t raw -A PREROUTING -m rpfilter --invert -j DROP"),
        ),
        lost=(),
    ),
    "in a chain of its own": Filter(
        (
            *iptables("-t raw -N RPFILTER"),
            *iptables("-t raw -A RPFILTER -m rpfilter -j RETURN"),
            *iptables("-t raw -A RPFILTER -j DROP"),
            *iptables("-t raw -A PREROUTING -j RPFILTER"),
        ),
        text="-m rpfilter return",
    ),
    "nft without the mark": Filter(
        nft(f"{ND} fib saddr . iif oif missing drop"), text="fib saddr . iif oif missing drop"
    ),
    "nft compared with 0": Filter(nft(f"{ND} fib saddr . iif oif 0 drop"), text="fib saddr . iif oif missing drop"),
    "nft in forward": Filter(nft("fib saddr . iif oif missing drop", "forward", "filter"), text="check (nft)"),
    "nft in input": Filter(nft(f"{ND} fib saddr . mark . iif oif missing drop", "input", "filter"), text="no mark"),
    "nft that accepts the others": Filter(
        nft(f"{ND} fib saddr . iif oif exists accept; drop"), text="fib saddr . iif oif exists accept"
    ),
    "nft with the mark": Filter((*ON_LINK, *nft(f"{ND} fib saddr . mark . iif oif missing drop")), lost=()),
    "nft for other links": Filter(
        nft('iifname { "pod-server", "pod-client" } fib saddr . iif oif missing drop'), lost=()
    ),
    "nft but for the link": Filter(nft('iifname != "{link}" fib saddr . iif oif missing drop'), lost=()),
    "nft that only counts": Filter(nft("fib saddr . iif oif missing counter"), lost=()),
    "nft of addresses": Filter(nft("fib daddr type broadcast drop"), lost=()),
}


def warned(lab: Lab) -> list[list[str]]:
    """Return the findings of a run on each node."""
    return [[text for text in warnings_of(answer) if re.search(r"\[[a-z-]+\]$", text)] for answer in apply(lab)]


@pytest.mark.parametrize("link", [DEDICATED, SHARED])
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_is_named_exactly_if_it_drops_requests(name: str, link: str) -> None:
    given = FILTERS[name]
    with lab_of(shared_link=link == SHARED) as lab:
        apply(lab)
        for node in lab.nodes:
            for line in given.commands:
                node.run(line.replace("{link}", lab.options.pool_interface))
        found = warned(lab)
        deliveries = lab.deliver(CELLS, timeout=LOST_TIMEOUT if link in given.lost else TIMEOUT)
        lost = [one.cell for one in deliveries if not one.reached]
        assert bool(lost) == (link in given.lost), lost
        assert [bool(of_node) for of_node in found] == [bool(lost)] * 2, found
        assert all(given.text in text for of_node in found for text in of_node), found
        assert found == warned(lab), "a run without changes tells the same"


#: As firewalld has it with IPv6_rpfilter=strict: answers of neighbour discovery are not accepted before.
WITHOUT_ANSWERS = "icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept;"


@pytest.mark.parametrize(
    ("rules", "lost"),
    [
        (f"{WITHOUT_ANSWERS} meta nfproto ipv6 fib saddr . mark . iif oif missing drop", True),
        (f"{ND} meta nfproto ipv6 fib saddr . mark . iif oif missing drop", False),
    ],
    ids=["answers dropped", "answers accepted"],
)
def test_a_filter_that_drops_answers_of_the_gateway_is_named(rules: str, lost: bool) -> None:
    cell = Cell("outside", "ds-lo-p1", family=6)
    with lab_of() as lab:
        apply(lab)
        for node in lab.nodes:
            for line in nft(rules):
                node.run(line)
            node.run("ip -6 neigh flush dev eth0.100")
        found = warned(lab)
        assert (
            [["[neighbour-filter]" in text for text in of_node] for of_node in found] == [[True]] * 2
            if lost
            else [[]] * 2
        )
        assert lab.deliver([cell], timeout=LOST_TIMEOUT if lost else TIMEOUT)[0].reached != lost
        for node in lab.nodes:
            node.run("ip -6 route replace fd00:1:2:3::/64 dev eth0.100")
            node.run("ip -6 neigh flush dev eth0.100")
        assert warned(lab) == [[], []]
        assert lab.deliver([cell], timeout=TIMEOUT)[0].reached


def test_a_filter_that_meets_a_rule_for_users_before_the_main_table_is_named() -> None:
    cell = Cell("outside", "ds-lo-p1", family=6)
    with lab_of() as lab:
        prepare(lab, [SITUATIONS["uid-range"], SITUATIONS["firewalld-strict"]])
        apply(lab)
        assert [["[neighbour-filter]" in text for text in of_node] for of_node in warned(lab)] == [[True]] * 2
        assert not lab.deliver([cell], timeout=LOST_TIMEOUT)[0].reached
