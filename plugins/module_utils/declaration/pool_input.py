# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool together with where its parts stand in the input, for the checks between options and between pools."""

from __future__ import annotations

from typing import NamedTuple

from .case_traits import AUTO, CASES
from .model import Pool
from .networks import Span


class PoolInput(NamedTuple):
    """A pool as far as it could be read.

    :param flawed: options of the pool that could not be read, so that no check may rely on them.
    """

    pool: Pool
    networks: tuple[Span, ...]
    onlink_networks: tuple[Span, ...]
    gateways: tuple[Span, ...]
    addresses: tuple[Span, ...]
    deny: tuple[Span, ...]
    flawed: frozenset[str]

    def sound(self, *options: str) -> bool:
        """Whether each of the options was read without an error."""
        return self.flawed.isdisjoint(options)

    @property
    def routes_by_gateway(self) -> bool:
        """Whether the pool may need a table and a mark for its gateways."""
        return bool(self.gateways) and (self.pool.case == AUTO or CASES[self.pool.case].uses_marks)
