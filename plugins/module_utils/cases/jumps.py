# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matches of the jumps to managed chains. Every packet of the node is compared with them, so they must be cheap; pure.

iptables-nft compares a destination in a fraction of the time that the name of an interface takes, which the kernel copies
for each comparison (``nft_meta_get_eval``, NFT_META_IIFNAME).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from os.path import commonprefix

from ..state.family import IPV6, collapse, full_length, span

MAX_JUMPS = 4  # comparing more destinations than this costs as much as comparing the name of the interface


def jump_conditions(
    family: str, networks: Iterable[str], interfaces: Sequence[str], elsewhere: Iterable[str]
) -> tuple[str, ...]:
    """Return the matches of one or more jumps that packets to the networks take when they arrive on the interfaces.

    As few other packets as possible take them. Each packet takes at most one. A match may be ``""``.

    :param networks: of the family.
    :param elsewhere: networks of the family with much traffic; no jump on a destination is for them.
    """
    inner = collapse(networks)
    found = covers(family, inner, MAX_JUMPS)
    wide = [cover for cover in found if cover not in inner]
    if "/0" in "".join(found) or _overlap([span(one) for one in wide], [span(one) for one in elsewhere]):
        return (common_match(interfaces),)
    return tuple(f"-d {cover}" for cover in found)


def common_match(names: Sequence[str]) -> str:
    """Return the match of a jump that packets from most other interfaces do not take, ``""`` if there is none."""
    if len(names) == 1:
        return f"-i {names[0]}"
    stem = commonprefix(names)  # noqa: RUF071 - not a path
    return f"-i {stem}+" if stem else ""


def covers(family: str, networks: Iterable[str], most: int) -> tuple[str, ...]:
    """Return at most ``most`` networks that contain all of these, disjoint and ascending, each as small as possible.

    :param networks: disjoint networks of the family.
    """
    spans = sorted(span(network) for network in networks)
    # The first bit that differs between two neighbours tells how large a network that contains both is.
    apart = [(left[0] ^ right[0]).bit_length() for left, right in zip(spans, spans[1:])]
    cuts = sorted(sorted(range(len(apart)), key=lambda number: -apart[number])[: most - 1])
    starts = [0, *(cut + 1 for cut in cuts)]
    ends = [*(cut + 1 for cut in cuts), len(spans)]
    return tuple(_cover(family, spans[start][0], spans[end - 1][1]) for start, end in zip(starts, ends))


def _cover(family: str, first: int, last: int) -> str:
    """Return the smallest network with both addresses."""
    bits = (first ^ last).bit_length()
    address = (
        ipaddress.IPv6Address(first >> bits << bits) if family == IPV6 else ipaddress.IPv4Address(first >> bits << bits)
    )
    return f"{address}/{full_length(family) - bits}"


def _overlap(some: Sequence[tuple[int, int]], others: Iterable[tuple[int, int]]) -> bool:
    return any(
        first <= last_other and first_other <= last for first_other, last_other in others for first, last in some
    )
