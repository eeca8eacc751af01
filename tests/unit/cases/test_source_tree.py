# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of chains drops exactly its sources, and compares a packet with few rules."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.source_tree import (
    MAX_SOURCES,
    source_chains,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import NAME_LENGTH
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import collapse

NAME = "HOMEWARD-FORGED"


def walk(chains: Mapping[str, tuple[str, ...]], source: str) -> tuple[bool, int]:
    """Return whether a packet is dropped, and with how many rules it is compared."""
    compared, name = 0, NAME
    while name:
        for rule in chains[name]:
            _s, network, action, target = rule.split()
            compared += 1
            if ipaddress.ip_address(source) in ipaddress.ip_network(network):
                if action == "-j":
                    return True, compared
                name = target
                break
        else:
            return False, compared
    raise AssertionError


def addresses(family: int, numbers: list[int]) -> tuple[str, ...]:
    base = int(ipaddress.ip_address("10.0.0.0" if family == 4 else "fd00::"))
    return collapse(str(ipaddress.ip_address(base + number)) for number in numbers)


@pytest.mark.parametrize("family", [4, 6])
def test_a_few_sources_are_one_chain(family: int) -> None:
    sources = addresses(family, [2 * number for number in range(MAX_SOURCES)])
    assert dict(source_chains(NAME, f"ipv{family}", sources)) == {NAME: tuple(f"-s {one} -j DROP" for one in sources)}


@pytest.mark.parametrize("width", [16, 24])
@pytest.mark.parametrize("family", [4, 6])
def test_a_packet_is_compared_with_few_of_five_thousand_sources(family: int, width: int) -> None:
    chosen = random.Random(width)
    sources = addresses(family, chosen.sample(range(1 << width), 5000))
    chains = source_chains(NAME, f"ipv{family}", sources)
    assert max(len(name) for name in chains) <= NAME_LENGTH
    assert len(chains) < 1000
    other = int(ipaddress.ip_network(sources[0]).network_address)
    packets = [source.partition("/")[0] for source in sources[::50]]
    packets += [str(ipaddress.ip_address(other + chosen.randrange(1 << width))) for _ in range(100)]
    assert max(walk(chains, packet)[1] for packet in packets) <= 100


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([4, 6]), st.sets(st.integers(0, 1 << 20), max_size=300), st.lists(st.integers(0, 1 << 20)))
def test_exactly_the_sources_are_dropped(family: int, numbers: set[int], others: list[int]) -> None:
    chains = source_chains(NAME, f"ipv{family}", addresses(family, sorted(numbers)))
    base = int(ipaddress.ip_address("10.0.0.0" if family == 4 else "fd00::"))
    for number in (*numbers, *others):
        assert walk(chains, str(ipaddress.ip_address(base + number)))[0] is (number in numbers)


def test_wide_networks_among_the_sources_are_dropped_too() -> None:
    sources = ("10.112.0.0/12", "10.96.0.0/12", *addresses(4, [5 * number for number in range(400)]), "192.168.0.0/16")
    chains = source_chains(NAME, "ipv4", sources)
    for packet, dropped in (("10.127.1.1", True), ("10.100.0.1", True), ("10.0.0.5", True), ("10.0.0.6", False)):
        assert walk(chains, packet)[0] is dropped
    assert walk(chains, "192.168.4.5")[0]
    assert not walk(chains, "203.0.113.5")[0]


def test_very_deep_trees_end_in_a_long_chain() -> None:
    sources = [
        str(ipaddress.ip_address(int(ipaddress.ip_address("fd00::")) + (1 << bit))) + "/128" for bit in range(120)
    ]
    chains = source_chains(NAME, "ipv6", sources)
    assert max(len(name) for name in chains) <= NAME_LENGTH
    assert all(walk(chains, source.partition("/")[0])[0] for source in sources)
