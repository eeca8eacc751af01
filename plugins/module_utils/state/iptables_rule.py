# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of one iptables rule: its quoting, its words, its target."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from .node import Ownership

_BLANKS = re.compile(r"[ \t\n]+")
_NEEDS_QUOTES = re.compile(r"[^\w@%+=:,./ -]", re.ASCII)  # what shlex.quote looks for, and the blank between words
_JUMPS = ("-j", "-g", "--jump", "--goto")


def jump_rule(name: str, ownership: Ownership, condition: str = "") -> str:
    """Return the jump from a built-in chain to a managed one, as ``iptables-save`` prints it."""
    comment = f"-m comment --comment {quoted(ownership.comment)} " if ownership.comment else ""
    return f"{condition} {comment}-j {name}".lstrip()


def quoted(word: str) -> str:
    """Return a word as ``iptables-save`` prints it: quoted unless it has only letters, digits, ``_`` and ``-``."""
    if word and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in word):
        return word
    escaped = "".join(f"\\{letter}" if letter in "\"\\'" else letter for letter in word)
    return f'"{escaped}"'


def split_rule(rule: str) -> tuple[str, ...]:
    """Return the words of a rule, by the quoting rules of ``iptables-restore``, which differ from those of a shell.

    A double quote starts a quoted word anywhere, and the closing one ends the word; a backslash escapes only inside quotes.
    """
    if '"' not in rule:
        return tuple(word for word in _BLANKS.split(rule) if word)
    words: list[str] = []
    word: list[str] = []
    inside = escaped = False
    for letter in rule:
        if inside and (escaped or letter not in '\\"'):
            word.append(letter)
            escaped = False
        elif inside and letter == "\\":
            escaped = True
        elif letter == '"' and not inside:
            inside = True
        elif letter not in '" \t\n':
            word.append(letter)
        elif letter == '"' or word:
            words.append("".join(word))
            word, inside = [], False
    if word:
        words.append("".join(word))
    return tuple(words)


def shell_line(words: Sequence[str]) -> str:
    """Return ``shlex.join(words)``; with thousands of rules, comparing every word takes longer than all else about them."""
    line = " ".join(words)
    plain = line.count(" ") == len(words) - 1 and "" not in words and not _NEEDS_QUOTES.search(line)
    return line if plain else shlex.join(words)


def has_open_quote(rule: str) -> bool:
    """Whether a double quote of the rule is never closed, so that ``iptables-restore`` would read on in the next line."""
    inside = escaped = False
    for letter in rule:
        if inside and not escaped and letter == "\\":
            escaped = True
            continue
        if letter == '"' and not escaped:
            inside = not inside
        escaped = False
    return inside


def targets(words: Iterable[str]) -> tuple[str, ...]:
    """Return the chains or targets that a rule jumps or goes to: none, or one."""
    found = []
    previous = ""
    for word in words:
        if previous in _JUMPS:
            found.append(word)
            previous = ""
        elif previous == "--comment":
            previous = ""
        else:
            previous = word
    return tuple(found)
