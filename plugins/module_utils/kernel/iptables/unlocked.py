# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the chains before the lock is taken: a program that hangs must not keep the agent and other runs waiting.

What has been read is used if it is still true when the lock is held. The kernel tells that without a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from ...state import Ownership
from ..netlink.nf_tables import nft_generation
from . import tables
from .fingerprint import fingerprint
from .tables import TABLES, IptablesState

TRIES = 5  # until the chains are read with the lock held, because they change all the time


@dataclass(frozen=True)
class _Moment:
    """What is another value after each change of a rule.

    :param generation: of all tables of nf_tables; 0 without nf_tables.
    :param nft, legacy: fingerprints of the tables; None if unknown.
    """

    generation: int
    nft: bytes | None
    legacy: bytes | None

    @classmethod
    def now(cls, only: Sequence[str] | None, before: _Moment | None = None) -> _Moment:
        """Return the present moment; with an earlier one, compare no more than is necessary."""
        generation = nft_generation()
        nft: bytes | None = b""
        if generation and before is not None and before.generation == generation:
            nft = before.nft
        elif generation:  # all tables together may have very many rules
            nft = fingerprint("nft", only) if only is not None else str(generation).encode()
        return cls(generation, nft, fingerprint("legacy", TABLES if only is None else only))

    def is_same(self, other: _Moment) -> bool:
        """Whether no rule has changed between the two."""
        return None not in (self.nft, self.legacy) and (self.nft, self.legacy) == (other.nft, other.legacy)


@contextmanager
def chains_before_lock(
    lock: Callable[[], AbstractContextManager[None]],
    variant: str,
    ownership: Ownership,
    only: Sequence[str] | None,
) -> Iterator[IptablesState]:
    """Yield the chains with the lock held.

    :param variant, ownership, only: as for :func:`tables.read`.
    :raises NodeError: as :func:`tables.read`; nothing has been changed.
    """
    for _try in range(TRIES):
        before = _Moment.now(only)
        found = tables.read(variant, ownership, only)
        with lock():
            if _Moment.now(only, before).is_same(before):
                yield found
                return
    with lock():
        yield tables.read(variant, ownership, only)
