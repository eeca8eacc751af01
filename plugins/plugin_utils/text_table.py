# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables and paragraphs for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_GAP = "  "
_NARROWEST = 20  # columns of the first cell


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table. The first column is wrapped so that the table fits the width, if that is possible.

    A cell of the first column that needs several lines continues beside the following rows if their first cells are empty.

    :param width: of the terminal, in columns.
    """
    others = [max(len(row[index]) for row in (headings, *rows)) for index in range(1, len(headings))]
    longest = max(len(row[0]) for row in (headings, *rows))
    first = min(longest, max(_NARROWEST, width - sum(others) - len(_GAP) * len(others)))
    lines = [_line(headings, first, others)]
    waiting: list[str] = []
    for row in rows:
        if row[0]:
            lines += [_line([text], first, []) for text in waiting]
            waiting = textwrap.wrap(row[0], first, break_on_hyphens=False)
        lines.append(_line([waiting.pop(0) if waiting else "", *row[1:]], first, others))
    return [*lines, *(_line([text], first, []) for text in waiting)]


def _line(cells: Sequence[str], first: int, others: Sequence[int]) -> str:
    widths = [first, *others]
    return _GAP.join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def indented(text: str, width: int, spaces: int) -> list[str]:
    """Return a paragraph as lines that fit the width; lines after the first are indented by four more columns.

    :param width: of the terminal, in columns.
    :param spaces: number of spaces before the first line.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * spaces,
        subsequent_indent=" " * (spaces + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
