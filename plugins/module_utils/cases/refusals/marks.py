# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses marks that foreign rules use, and warns of foreign rules that copy or change whole marks.

A rule with a mask has its own bits, which no other program may use. A rule without one reads or changes all bits, so it is
refused only for a value that could be taken for a managed mark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ...declaration.settings import KUBE_PROXY_BITS
from ...errors import InputError
from ...state import Rule
from ...state.mark_use import WHOLE_MARK, MarkUse
from ..context import Context
from ..model import Group

_BITS = 32
_PORTMAP_BIT = 0x2000  # of the CNI plugin portmap and of podman; they use it only for pods with host ports
_SHOWN = 3


def mark_refusals(groups: Iterable[Group], uses: Collection[MarkUse], context: Context) -> Iterator[InputError]:
    """Yield which foreign rules use bits of the mask: policy rules, and those of iptables and nftables."""
    mask = context.declaration.settings.mark_mask
    own = frozenset(mark for group in groups for mark in (group.mark, group.request_mark) if mark)
    if not own:
        return
    rules = sorted(context.node.foreign_rules)
    taken = [f'the rule "{rule}"' for rule in rules if _conflicts(rule.fwmask, rule.fwmark, mask, own)]
    taken += [_described(use, mask) for use in sorted(uses) if _conflicts(use.mask, use.value, mask, own)]
    if taken:
        more = f", and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else ""
        used = _used_bits(rules, uses)
        yield InputError(
            "mark_mask",
            f"{mask:#x} overlaps the mark of a rule that is managed by someone else: {'; '.join(taken[:_SHOWN])}{more}",
            f"{_free_bits(mask, used)} Remove these rules if they are left over from a manual setup of a pool.",
        )


def unmasked_marks(groups: Iterable[Group], uses: Collection[MarkUse], context: Context) -> Iterator[str]:
    """Yield a warning about foreign rules that copy or change whole marks, and with them the managed bits."""
    mask = context.declaration.settings.mark_mask
    own = frozenset(mark for group in groups for mark in (group.mark, group.request_mark) if mark)
    if not own:
        return
    for use in sorted(uses):
        if not use.is_whole or _conflicts(use.mask, use.value, mask, own):
            continue
        if use.writes:
            yield (
                f"mark_mask: {use} has no mask, so it also changes the bits {mask:#x}, and replies that pass it may leave"
                f" through the wrong gateway. Give it a mask without these bits, such as {WHOLE_MARK & ~mask:#x}."
            )
        elif not use.value:
            yield (
                f"mark_mask: {use} has no mask, so it takes packets with managed marks ({mask:#x}) for marked ones. Give it a"
                f" mask without these bits, such as {WHOLE_MARK & ~mask:#x}, if such packets must not be treated differently."
            )


def _conflicts(used: int, value: int | None, mask: int, own: Collection[int]) -> bool:
    """Whether a rule uses the managed bits as its own.

    :param used: bits that the rule compares or changes.
    :param value: None if the rule does not say.
    :param own: managed marks.
    """
    if used != WHOLE_MARK:
        return bool(used & mask)
    if not value:
        return False
    return value & mask in own or bool(value & mask and not value & ~mask)


def _described(use: MarkUse, mask: int) -> str:
    bits = use.mask & mask if not use.is_whole else (use.value or 0) & mask
    return f"{use}, bits {bits:#x}"


def _used_bits(rules: Iterable[Rule], uses: Iterable[MarkUse]) -> int:
    """Return all bits that are in use on the node; of rules without a mask, those of the value."""
    used = KUBE_PROXY_BITS | _PORTMAP_BIT
    for bits, value in (*((rule.fwmask, rule.fwmark) for rule in rules), *((use.mask, use.value) for use in uses)):
        used |= (value or 0) if bits == WHOLE_MARK else bits
    return used


def _free_bits(mask: int, used: int) -> str:
    """Return a remedy: as many free adjacent bits as the mask has, the lowest from bit 8 on."""
    width = (mask // (mask & -mask)).bit_length()
    shifts = [*range(8, _BITS - width + 1), *range(7, -1, -1)]
    found = next((run for run in (((1 << width) - 1) << shift for shift in shifts) if not run & used), 0)
    if not found:
        return "Choose bits that nothing else on the node uses, fewer if necessary."
    return f"Choose bits that nothing else on the node uses, for example {found:#x}."
