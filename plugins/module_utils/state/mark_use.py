# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What foreign rules of iptables and nftables do with the marks of packets and connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WHOLE_MARK = 0xFFFFFFFF
_MATCHES = ("mark", "connmark")
#: Options of the targets MARK, CONNMARK and TPROXY with value/mask (iptables-extensions(8), as iptables-save prints them).
_SETTERS = ("--set-xmark", "--tproxy-mark")
_COPIERS = ("--save-mark", "--restore-mark")
# Targets and matches that copy a mark without a mask: from a set's entry, and from the socket.
_UNMASKED = ("--map-mark", "--restore-skmark")


@dataclass(frozen=True, order=True)
class MarkUse:
    """One use of a mark by a rule.

    :param where: family, table and chain of the rule, for messages.
    :param text: the part of the rule that uses the mark, in the words of iptables or nft.
    :param writes: the rule changes the bits of the mask; otherwise it compares them.
    :param mask: the bits that are changed or compared.
    :param value: what the bits become or are compared with; None if the rule does not say.
    :param negated: the comparison is true for other values.
    """

    where: str
    text: str
    writes: bool
    mask: int = WHOLE_MARK
    value: int | None = None
    negated: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the rule uses all bits, so it has no mask."""
        return self.mask == WHOLE_MARK

    def __str__(self) -> str:
        return f'"{self.text}" in chain {self.where}'


def uses_in_words(words: Sequence[str], where: str) -> Iterator[MarkUse]:
    """Yield the uses of marks in a rule of iptables.

    :param words: of the rule as ``iptables-save`` prints it, without quotes.
    """
    match = ""
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        after = words[position + 1] if position + 1 < len(words) else ""
        if before in ("-m", "-j"):
            match = word
        elif before == "--comment":
            continue
        elif word == "--mark" and match in _MATCHES:
            value, mask = _value_and_mask(after)
            negation = "! " if before == "!" else ""
            yield MarkUse(where, f"-m {match} {negation}--mark {after}", False, mask, value, bool(negation))
        elif word in _SETTERS:
            value, mask = _value_and_mask(after)
            yield MarkUse(where, f"-j {match} {word} {after}", True, mask | value, value)
        elif word in _COPIERS:
            masks = words[position + 1 : position + 5]
            yield MarkUse(where, " ".join(("-j", match, word, *masks)), True, _copied(masks))
        elif word in _UNMASKED:
            yield MarkUse(where, f"{match} {word}", True)


def _value_and_mask(text: str) -> tuple[int, int]:
    value, slash, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if slash else WHOLE_MARK


def _copied(words: Sequence[str]) -> int:
    """Return the bits that may change when a mark is copied: ``--nfmask`` and ``--ctmask``; all of them without a mask."""
    masks = [int(mask, 0) for option, mask in zip(words, words[1:]) if option in ("--nfmask", "--ctmask")]
    return masks[0] | masks[-1] if masks else WHOLE_MARK


def concerning(uses: Sequence[MarkUse], mask: int) -> Iterator[MarkUse]:
    """Yield the uses of one rule that may concern packets whose mark has bits of this mask only.

    What follows a comparison of the whole mark with a value that no such packet has does not.
    """
    for use in uses:
        if use.mask & mask:
            yield use
        if use.is_whole and not (use.writes or use.negated or use.value is None) and use.value & ~mask:
            return
