# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lookup answers as comparing with every single one would."""

from __future__ import annotations

import ipaddress
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.family import contains
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.lookup import AddressLookup, NetworkLookup


def networks_below(base: str) -> st.SearchStrategy[str]:
    """Return networks, few enough to lie in each other often, of every length from ``base`` on."""
    whole = ipaddress.ip_network(base)

    def network(length: int, number: int) -> str:
        host_bits = whole.max_prefixlen - length
        first = int(whole.network_address) + (number << 4 >> host_bits << host_bits)
        return f"{ipaddress.ip_address(first)}/{length}"

    return st.builds(network, st.integers(whole.prefixlen, whole.max_prefixlen), st.integers(0, 15))


NETWORKS = networks_below("10.1.1.0/24") | networks_below("fd00::/120")
ADDRESSES = NETWORKS.map(lambda network: network.partition("/")[0])


@given(st.lists(ADDRESSES), NETWORKS)
def test_the_addresses_inside_a_network_are_found(addresses: list[str], network: str) -> None:
    found = AddressLookup((address, position) for position, address in enumerate(addresses)).inside(network)
    assert sorted(found) == [position for position, address in enumerate(addresses) if contains(network, address)]
    numbers = [int(ipaddress.ip_address(addresses[position])) for position in found]
    assert numbers == sorted(numbers), "lowest address first"


@given(st.lists(NETWORKS), NETWORKS | ADDRESSES)
def test_the_smallest_network_around_is_found(networks: list[str], inner: str) -> None:
    around = [position for position, network in enumerate(networks) if contains(network, inner)]
    desired = max(around, key=lambda position: int(networks[position].partition("/")[2]), default=None)
    assert NetworkLookup((network, position) for position, network in enumerate(networks)).longest(inner) == desired


@given(NETWORKS, NETWORKS)
def test_containing_is_what_ipaddress_says(outer: str, inner: str) -> None:
    one, other = ipaddress.ip_network(outer), ipaddress.ip_network(inner)
    inside = one.version == other.version and all(end in one for end in chain([other[0], other[-1]]))
    assert contains(outer, inner) is inside
