# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent reports, to people, programs and node_exporter."""

# pylint: disable=ansible-bad-function  # a service prints to the journal

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..diagnosis.differences import IDENTIFIERS
from ..paths import AGENT_DIRECTORY, METRICS_FILE, REPORT_FILE
from ..state.kinds import SAVED

REMEMBERED = 100  # reconciled objects that are listed one by one
PREFIX = "homeward_metallb_routing"


@dataclass
class Report:
    """The memory of the agent since it started.

    :param reconciled: number of reconciled objects, by kind.
    :param drift: number of objects that differ from the desired state and could be reconciled, as of the last check.
    :param waiting: why objects cannot be reconciled now.
    :param backing_off: which objects keep being changed, and by whom.
    :param recent: the last reconciled objects, each with ``when`` (seconds since 1970), ``kind``, ``what`` (the step),
        ``who`` (changed it) and ``milliseconds`` (since the event).
    :param problem: what keeps the agent from its work, ``""`` for nothing.
    :param speaker: what is wrong with MetalLB's speaker on this node.
    :param groups_held: solicited-node groups that it has lost and the agent holds.
    :param speaker_missing: number of links on which it does not listen.
    :param findings: what keeps pools from working although the node is as desired.
    :param checked: when everything was last checked, seconds since 1970.
    """

    pid: int = field(default_factory=os.getpid)
    state_hash: str = ""
    started: float = 0.0
    checked: float = 0.0
    drift: int = 0
    reconciled: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    backing_off: list[str] = field(default_factory=list)
    problem: str = ""
    speaker: list[str] = field(default_factory=list)
    groups_held: int = 0
    speaker_missing: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)
    recent: list[dict[str, Any]] = field(default_factory=list)

    def record(self, when: float, kind: str, what: str, who: str, milliseconds: float) -> None:
        """Remember one reconciled object."""
        self.reconciled[kind] = self.reconciled.get(kind, 0) + 1
        entry = {"when": round(when, 3), "kind": kind, "what": what, "who": who, "milliseconds": round(milliseconds, 1)}
        self.recent = [*self.recent, entry][-REMEMBERED:]

    def as_json(self) -> dict[str, Any]:
        """Return the report under the keys that ``status --json`` has; they are an interface."""
        return {
            "pid": self.pid,
            "state_hash": self.state_hash,
            "started": self.started,
            "checked": self.checked,
            "drift": self.drift,
            "healed": self.reconciled,
            "waiting": self.waiting,
            "left_alone": self.backing_off,
            "trouble": self.problem,
            "speaker": self.speaker,
            "findings": self.findings,
            "recent": self.recent,
        }

    def write(self, metrics_directory: str) -> None:
        """Write the report and the metrics, each atomically; a full disk does not stop the agent."""
        text = json.dumps(self.as_json(), indent=1) + "\n"
        make_agent_directory()
        _write(Path(REPORT_FILE), text)
        # A missing directory of the collector is not created.
        _write(Path(metrics_directory or AGENT_DIRECTORY) / METRICS_FILE, self.metrics())

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format, version 0.0.4."""
        # All kinds from the start: rate() ignores the first increment of a counter that starts with it.
        counts = {**dict.fromkeys((kind.name for kind in SAVED), 0), **self.reconciled}
        reconciled: Mapping[str, float] = {f'{{kind="{kind}"}}': count for kind, count in sorted(counts.items())}
        blocks: Iterable[tuple[str, str, str, Mapping[str, float]]] = (
            ("reconciled_total", "counter", "Objects reconciled since the agent started.", reconciled),
            ("drift", "gauge", "Objects that differ from the desired state.", {"": self.drift}),
            ("waiting", "gauge", "Objects that cannot be reconciled now.", {"": len(self.waiting)}),
            ("backing_off", "gauge", "Objects that keep being changed, in backoff.", {"": len(self.backing_off)}),
            ("findings", "gauge", "What keeps pools from working, by identifier.", self._findings_by_identifier()),
            (
                "speaker_groups_held",
                "gauge",
                "Solicited-node groups that MetalLB's speaker has lost and the agent holds.",
                {"": self.groups_held},
            ),
            (
                "speaker_missing_links",
                "gauge",
                "Links of pools on which MetalLB's speaker does not listen.",
                {"": self.speaker_missing},
            ),
            (
                "last_check_timestamp_seconds",
                "gauge",
                "When everything was last checked.",
                {"": round(self.checked, 3)},
            ),
            ("state_info", "gauge", "The desired state.", {f'{{hash="{self.state_hash}"}}': 1}),
        )
        lines = []
        for name, kind, text, values in blocks:
            lines += [f"# HELP {PREFIX}_{name} {text}", f"# TYPE {PREFIX}_{name} {kind}"]
            lines += [f"{PREFIX}_{name}{labels} {value}" for labels, value in values.items()]
        return "\n".join(lines) + "\n"

    def _findings_by_identifier(self) -> Mapping[str, float]:
        found = [one["identifier"] for one in self.findings]
        return {f'{{identifier="{name}"}}': found.count(name) for name in sorted(IDENTIFIERS.values())}


def make_agent_directory() -> None:
    """Create the directory of the report; systemd does so for the service. Whatever is wrong with it shows at the next write."""
    with suppress(OSError):
        Path(AGENT_DIRECTORY).mkdir(mode=0o755)
        Path(AGENT_DIRECTORY).chmod(0o755)  # whatever the umask is


_printed: set[Path] = set()  # files whose last write failed


def _write(path: Path, text: str) -> None:
    try:
        _replace(path, text)
    except OSError as error:
        if path not in _printed:
            print(f"{path} cannot be written: {error.strerror}", flush=True)
        _printed.add(path)
    else:
        _printed.discard(path)


def _replace(path: Path, text: str) -> None:
    """Replace a file that everybody may read.

    The directory may belong to another user, who can put anything in place of a name. So the file is only changed through its
    descriptor, and the names are relative to that of the directory.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    name = f".{path.name}.{secrets.token_hex(8)}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=directory), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        os.replace(name, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):  # or failed writes would fill the disk
            os.unlink(name, dir_fd=directory)
        raise
    finally:
        os.close(directory)


def read_report() -> dict[str, Any]:
    """Return what the agent last wrote; empty if there is nothing usable."""
    try:
        content = json.loads(Path(REPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
