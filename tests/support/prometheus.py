# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict reader of Prometheus' text format, version 0.0.4, as far as gauges and counters go."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL})(?:,(?:{_LABEL}))*)?\}})? (\S+)")

Labels = tuple[tuple[str, str], ...]


@dataclass
class Metric:
    """One metric: ``gauge`` or ``counter``, and its values by their labels."""

    type: str
    values: dict[Labels, float] = field(default_factory=dict)


def parse(text: str) -> dict[str, Metric]:
    """Return the metrics by name.

    :raises ValueError: the text is not what the format says: each metric has one HELP, then one TYPE, then its samples.
    """
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    metrics: dict[str, Metric] = {}
    helped, current = "", ""
    for line in text.splitlines():
        words = line.split(" ", 3)
        if words[:2] == ["#", "HELP"] and words[2] not in metrics and len(words) == 4:
            helped, current = words[2], ""
        elif words[:2] == ["#", "TYPE"] and words[2] == helped and words[3] in ("gauge", "counter"):
            current, helped = words[2], ""
            metrics[current] = Metric(words[3])
        else:
            _add_sample(metrics, current, line)
    return metrics


def _add_sample(metrics: dict[str, Metric], current: str, line: str) -> None:
    match = _SAMPLE.fullmatch(line)
    if match is None or match[1] != current:
        raise ValueError(f"not a sample of {current or 'any metric'}: {line!r}")
    pairs = re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', match[2] or "")
    labels = tuple(sorted(pairs))
    if labels in metrics[current].values:
        raise ValueError(f"twice: {line!r}")
    if metrics[current].type == "counter" and not (current.endswith("_total") and float(match[3]) >= 0):
        raise ValueError(f"a counter ends in _total and never falls below 0: {line!r}")
    metrics[current].values[labels] = float(match[3])
