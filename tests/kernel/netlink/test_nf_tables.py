# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains and tables of nf_tables, read from the kernel; the witness is what ``nft`` created."""

from __future__ import annotations

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.nf_tables import (
    nft_chains,
    nft_tables,
)
from tests.support.namespace import Namespace

MANY = frozenset(f"chain-{number}" for number in range(2000))  # more than fit into one datagram


@pytest.mark.parametrize(("family", "nft_family"), [("ipv4", "ip"), ("ipv6", "ip6")])
def test_the_chains_of_one_table_are_listed(namespace: Namespace, family: str, nft_family: str) -> None:
    other = {"ip": "ip6", "ip6": "ip"}[nft_family]
    tables = {
        f"{nft_family} mangle": MANY,
        f"{nft_family} nat": {"of-another-table"},
        f"{other} mangle": {"of-another-family"},
        "inet mangle": {"of-both-families"},
    }
    lines = [f"add table {table}" for table in tables]
    lines += [f"add chain {table} {chain}" for table, chains in tables.items() for chain in chains]
    namespace.run(["nft", "-f", "-"], "\n".join(lines))
    assert namespace.call(nft_chains, family, "mangle") == MANY
    assert namespace.call(nft_chains, family, "raw") == frozenset()


def test_the_tables_of_all_families_are_listed(namespace: Namespace) -> None:
    assert namespace.call(nft_tables) == frozenset()
    families = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
    expected = {(family, f"of-{family}-{number}") for family in families for number in range(400)}
    namespace.run(["nft", "-f", "-"], "\n".join(f"add table {family} {name}" for family, name in expected))
    assert namespace.call(nft_tables) == expected, "more than one datagram has them"
