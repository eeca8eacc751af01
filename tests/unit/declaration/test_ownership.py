# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markers of ownership: one that another program uses is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.declaration.ownership import (
    read_comment,
    read_owner,
    read_prefix,
    read_protocol,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.chain import BUILT_IN

POOLS = Ownership()


def refusal(read: Any, value: Any, *arguments: Any) -> str:
    """Return why the value is refused; the error must have the path and a remedy."""
    with pytest.raises(InputError) as caught:
        read("option", value, *arguments)
    assert caught.value.path == "option"
    assert caught.value.remedy
    return caught.value.problem


@pytest.mark.parametrize("number", [5, 78, 79, 200, 255])
def test_valid_protocols(number: int) -> None:
    assert read_protocol("protocol", number, 78, POOLS.protocol) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (-1, "is not between 0 and 255"),
        (256, "is not between 0 and 255"),
        ("kernel", "is not a whole number"),
        *((number, "belongs to the kernel and to administrators") for number in range(5)),
        (16, "belongs to DHCP clients"),
        (186, "belongs to BGP daemons"),
        (77, "belongs to homeward.metallb_routing.pool_routing"),
    ],
)
def test_refused_protocols(number: Any, words: str) -> None:
    assert words in refusal(read_protocol, number, 78, POOLS.protocol)


@pytest.mark.parametrize("owner", ["site.storage", "a", "the storage's play", "ä" * 127])
def test_valid_aliases(owner: str) -> None:
    assert read_owner("owner", owner, POOLS.alias) == owner


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ("", "every link without an alias"),
        ("  ", "every link without an alias"),
        ("homeward.metallb_routing", "belongs to homeward.metallb_routing.pool_routing"),
        ("a\nb", "is not a valid alias"),
        ("a\0", "is not a valid alias"),
        ("a" * 256, "is not a valid alias"),
        (5, "without quotes is not a string"),
    ],
)
def test_refused_aliases(owner: Any, words: str) -> None:
    assert words in refusal(read_owner, owner, POOLS.alias)


@pytest.mark.parametrize("prefix", ["SITE-", "X-", "Acme", "PRE-", "car", "KU_"])
def test_valid_prefixes(prefix: str) -> None:
    assert read_prefix("prefix", prefix, POOLS.chain_prefix) == prefix


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("", "cannot be a prefix of chain names"),
        ("K", "cannot be a prefix of chain names"),
        ("A" * 21, "cannot be a prefix of chain names"),
        ("$(id)", "cannot be a prefix of chain names"),
        ("A B", "cannot be a prefix of chain names"),
        ("KU", "conflicts with KUBE- of Kubernetes"),
        ("KUBE-", "conflicts with KUBE- of Kubernetes"),
        ("KUBE-SEP-", "conflicts with KUBE- of Kubernetes"),
        ("cali", "conflicts with cali- of Calico"),
        ("DOCKER-USER", "conflicts with DOCKER of Docker"),
        ("HOMEWARD", "conflicts with HOMEWARD- of homeward.metallb_routing.pool_routing"),
        ("HOMEWARD-IN", "conflicts with HOMEWARD- of homeward.metallb_routing.pool_routing"),
    ],
)
def test_refused_prefixes(prefix: str, words: str) -> None:
    assert words in refusal(read_prefix, prefix, POOLS.chain_prefix)


@pytest.mark.parametrize("name", sorted({name for names in BUILT_IN.values() for name in names}))
@pytest.mark.parametrize("length", [2, 5])
def test_no_prefix_matches_a_built_in_chain(name: str, length: int) -> None:
    assert "a built-in chain" in refusal(read_prefix, name[:length], POOLS.chain_prefix)


@pytest.mark.parametrize("comment", ["", "a play", 'says "so"', "a" * 255])
def test_valid_comments(comment: str) -> None:
    assert read_comment("comment", comment) == comment


@pytest.mark.parametrize("comment", ["a\n-j ACCEPT", "a\0", "\r", "a" * 256])
def test_refused_comments(comment: str) -> None:
    assert "is not a valid comment" in refusal(read_comment, comment)
