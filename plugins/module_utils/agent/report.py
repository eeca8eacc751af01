# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard has seen and done, for people, programs and node_exporter."""

# pylint: disable=ansible-bad-function  # a service speaks to the journal

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..paths import AGENT_DIRECTORY, METRICS_FILE, REPORT_FILE
from ..state.kinds import SAVED

KEPT = 100  # healed losses that are remembered one by one
PREFIX = "homeward_metallb_routing"


@dataclass
class Report:
    """The guard's memory since it was started.

    :param healed: number of objects put back, by kind.
    :param drift: objects that differ from what is declared and could be had, as of the last look.
    :param waiting: why something cannot be had at present.
    :param left_alone: what keeps being undone, and by whom.
    :param recent: the last healed losses: when (seconds since 1970), what, who, and after how many milliseconds.
    :param trouble: what keeps the guard from its work, ``""`` where nothing does.
    :param checked: when everything was last looked at, seconds since 1970.
    """

    pid: int = field(default_factory=os.getpid)
    state_hash: str = ""
    started: float = 0.0
    checked: float = 0.0
    drift: int = 0
    healed: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    trouble: str = ""
    recent: list[dict[str, Any]] = field(default_factory=list)

    def note(self, when: float, kind: str, what: str, who: str, milliseconds: float) -> None:
        """Remember one healed loss."""
        self.healed[kind] = self.healed.get(kind, 0) + 1
        entry = {"when": round(when, 3), "kind": kind, "what": what, "who": who, "milliseconds": round(milliseconds, 1)}
        self.recent = [*self.recent, entry][-KEPT:]

    def write(self, metrics_directory: str) -> None:
        """Write the report and the metrics, each at once as a whole; a full disk must not stop the guard."""
        text = json.dumps(self.__dict__, indent=1) + "\n"
        with suppress(OSError):  # systemd makes it; whatever is wrong with it is told below
            Path(AGENT_DIRECTORY).mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(Path(REPORT_FILE), text)
        # The collector's directory is not ours to make.
        _write(Path(metrics_directory or AGENT_DIRECTORY) / METRICS_FILE, self.metrics())

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format, version 0.0.4."""
        # Each from the start: a counter that begins with its first loss would hide that one from rate().
        counts = {**dict.fromkeys((kind.name for kind in SAVED), 0), **self.healed}
        healed: Mapping[str, float] = {f'{{kind="{kind}"}}': count for kind, count in sorted(counts.items())}
        blocks: Iterable[tuple[str, str, str, Mapping[str, float]]] = (
            ("healed_total", "counter", "Objects put back since the guard was started.", healed),
            ("drift", "gauge", "Objects that differ from what is declared.", {"": self.drift}),
            ("waiting", "gauge", "Things that cannot be had at present.", {"": len(self.waiting)}),
            ("left_alone", "gauge", "Things that somebody keeps undoing.", {"": len(self.left_alone)}),
            (
                "last_check_timestamp_seconds",
                "gauge",
                "When everything was last looked at.",
                {"": round(self.checked, 3)},
            ),
            ("state_info", "gauge", "The declared state.", {f'{{hash="{self.state_hash}"}}': 1}),
        )
        lines = []
        for name, kind, text, values in blocks:
            lines += [f"# HELP {PREFIX}_{name} {text}", f"# TYPE {PREFIX}_{name} {kind}"]
            lines += [f"{PREFIX}_{name}{labels} {value}" for labels, value in values.items()]
        return "\n".join(lines) + "\n"


_told: set[Path] = set()  # what could not be written when it was last tried


def _write(path: Path, text: str) -> None:
    temporary = Path()
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary.name:  # a full disk must not fill with what could not be written to it
            temporary.unlink(missing_ok=True)
        if path not in _told:
            print(f"{path} cannot be written: {error.strerror}", flush=True)
        _told.add(path)
    else:
        _told.discard(path)


def read_report() -> dict[str, Any]:
    """Return what the guard last wrote, or nothing."""
    try:
        content = json.loads(Path(REPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
