# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel tells of an object beyond the fields we have for it, written so that nothing of it is lost.

A rule for one user alone, ``lookup 100`` for us, is not the rule ``lookup 100``. Its action becomes
``lookup with FRA_UID_RANGE=0x000000000a000000``: never equal to a rule of ours, readable, and enough to delete exactly
this rule or to write it back.
"""

from __future__ import annotations

from .codec import Fields, Value

_WITH = " with "


def with_fields(word: str, fields: Fields) -> str:
    """Return the word (an action, a route's type), followed by the further fields, if any, sorted by name."""
    if not fields:
        return word
    return word + _WITH + " ".join(f"{name}={_text(value)}" for name, value in sorted(fields.items()))


def split_fields(text: str) -> tuple[str, Fields]:
    """Return what :func:`with_fields` was given."""
    word, _with, rest = text.partition(_WITH)
    pairs = (item.partition("=") for item in rest.split())
    return word, {name: _value(value) for name, _equals, value in pairs}


def _text(value: Value) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _value(text: str) -> Value:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else int(text)
