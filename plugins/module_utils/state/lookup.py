# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookups in many addresses or networks, in a few steps each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Generic, TypeVar

from .family import FAMILIES, family_of, full_length, span

Item = TypeVar("Item")


class AddressLookup(Generic[Item]):
    """Items by their address, found by a network that contains it.

    :param items: pairs of an address without length and its item.
    """

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        self._items: dict[str, list[Item]] = {family: [] for family in FAMILIES}
        self._numbers: dict[str, list[int]] = {family: [] for family in FAMILIES}
        ordered = sorted(((span(address)[0], address, item) for address, item in items), key=lambda entry: entry[:2])
        for number, address, item in ordered:
            self._numbers[family_of(address)].append(number)
            self._items[family_of(address)].append(item)

    def inside(self, network: str) -> list[Item]:
        """Return the items whose address is in the network, lowest address first."""
        first, last = span(network)
        numbers = self._numbers[family_of(network)]
        return self._items[family_of(network)][bisect_left(numbers, first) : bisect_right(numbers, last)]


class NetworkLookup(Generic[Item]):
    """Items by their network, found by an address or network inside it.

    :param items: pairs of a network and its item; of several with the same network, the first counts.
    """

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        self._items: dict[tuple[str, int], dict[int, Item]] = {}
        for network, item in items:
            first, _last = span(network)
            self._items.setdefault((family_of(network), _length(network)), {}).setdefault(first, item)
        self._longest_first = sorted(self._items, reverse=True)

    def longest(self, network: str) -> Item | None:
        """Return the item of the longest prefix that contains this network; None if there is none."""
        family, length = family_of(network), _length(network)
        first, _last = span(network)
        host_length = full_length(family)
        for key in self._longest_first:
            item_family, item_length = key
            if item_family == family and item_length <= length:
                host_bits = host_length - item_length
                found = self._items[key].get(first >> host_bits << host_bits)
                if found is not None:
                    return found
        return None


def _length(network: str) -> int:
    _address, slash, length = network.partition("/")
    return int(length) if slash else full_length(family_of(network))
