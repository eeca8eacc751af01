# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign chains that check the sources of packets: of nf_tables, and of iptables-legacy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..state.iptables_filters import filter_chains
from ..state.packet_filter import FilterChain
from .netlink.nf_tables import nft_filter_chains

#: Table and line of each foreign rule of the tables raw and mangle, by family.
LegacyLines = Mapping[str, tuple[tuple[str, str], ...]]


def read(tables: Iterable[tuple[str, str]], legacy: LegacyLines, own_prefix: str) -> tuple[FilterChain, ...]:
    """Return all chains of tables that check sources.

    :param tables: family and name of those of nf_tables.
    :param legacy: what iptables-legacy has.
    :param own_prefix: of the names of managed chains, which are left out.
    :raises NodeError: the kernel does not list its rules.
    """
    of_legacy = (chain for family, lines in sorted(legacy.items()) for chain in filter_chains(lines, family))
    of_nft = (chain for family, table in sorted(tables) for chain in nft_filter_chains(family, table, own_prefix))
    return (*of_nft, *of_legacy)
