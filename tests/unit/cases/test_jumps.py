# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matches of the jumps to managed chains."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.cases.jumps import covers, jump_conditions
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import collapse, contains

PODS = ("10.112.0.0/12",)


@pytest.mark.parametrize(
    ("networks", "elsewhere", "conditions"),
    [
        (["1.2.3.0/24"], PODS, ("-d 1.2.3.0/24",)),
        (["1.2.3.5/32", "203.0.113.0/24"], PODS, ("-d 1.2.3.5/32", "-d 203.0.113.0/24")),
        (["1.2.3.0/25", "1.2.3.128/25"], PODS, ("-d 1.2.3.0/24",)),
        ([f"20.{n}.0.0/16" for n in range(100)], PODS, None),
        # Networks of the cluster lie between those of the pools
        ([f"10.{n}.0.0/16" for n in range(0, 250, 25)], PODS, ("-i eth1",)),
        # A pool inside the nodes' own network takes no packets of other hosts
        (["192.168.1.240/28"], ("192.168.1.11/32",), ("-d 192.168.1.240/28",)),
        (["10.112.1.0/24"], PODS, ("-d 10.112.1.0/24",)),
        (["1.0.0.0/8", "20.0.0.0/8", "130.0.0.0/8", "200.0.0.0/8", "240.0.0.1/32"], (), None),
        (["0.0.0.0/1", "128.0.0.0/1"], (), ("-i eth1",)),
    ],
)
def test_jump_conditions(networks: list[str], elsewhere: tuple[str, ...], conditions: tuple[str, ...] | None) -> None:
    found = jump_conditions("ipv4", networks, ["eth1"], elsewhere)
    if conditions is not None:
        assert found == conditions
    assert len(found) <= 4
    assert found == ("-i eth1",) or all(any(contains(one[3:], network) for one in found) for network in networks)


def test_networks_of_ipv6_have_jumps_of_their_own() -> None:
    networks = [f"fd00:20:{number:x}::/64" for number in range(64)]
    assert jump_conditions("ipv6", networks, ["eth1"], ()) == (
        "-d fd00:20::/44",
        "-d fd00:20:10::/44",
        "-d fd00:20:20::/44",
        "-d fd00:20:30::/44",
    )


SINGLE = st.integers(0, (1 << 32) - 1).map(lambda number: f"{ipaddress.IPv4Address(number)}/32")


@given(st.sets(SINGLE, min_size=1, max_size=30), st.integers(1, 6))
def test_covers_contain_everything_once(addresses: set[str], most: int) -> None:
    found = covers("ipv4", collapse(addresses), most)
    assert 1 <= len(found) <= most
    assert all(sum(contains(cover, address) for cover in found) == 1 for address in addresses)
    assert list(found) == sorted(found, key=ipaddress.ip_network)
