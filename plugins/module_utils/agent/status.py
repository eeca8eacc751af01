# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared on this node, what is there, and what was healed, in plain words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..errors import HomewardError
from ..kernel.systemd import active
from ..paths import UNIT_NAME
from ..rollback import undecided
from ..state.kinds import SAVED
from . import reconciler
from .report import read_report

SHOWN = 10  # healed losses that are told one by one


def gather() -> dict[str, Any]:
    """Return everything that status tells, as plain data.

    :raises HomewardError: the state file or the node cannot be read.
    """
    saved, repair = reconciler.find()
    waiting = [*repair.waiting, *repair.hidden]
    return {
        "declared": {kind.plural: len(saved.state.parts_of(kind)) for kind in SAVED},
        "cases": list(saved.cases),
        "right": not repair.steps and not waiting,
        "missing": [str(step) for step in repair.steps],
        "waiting": waiting,
        "undecided": list(undecided()),
        "guard": _guard(),
    }


def _guard() -> dict[str, Any]:
    """Return what the guard last reported, and whether it runs: as a service, or because somebody started it by hand."""
    report = read_report()
    return {**report, "running": _is_guard(report.get("pid")) or UNIT_NAME in active()}


def _is_guard(pid: Any) -> bool:
    """Whether the process is the guard: a number is given anew when its process has ended."""
    try:
        words = Path(f"/proc/{int(pid)}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, TypeError):
        return False
    return b"agent" in words or b"guard" in words


def in_words(facts: dict[str, Any]) -> str:
    """Return the facts as a person would tell them."""
    declared = ", ".join(f"{count} {kind}" for kind, count in facts["declared"].items() if count)
    lines = [f"Declared: {declared or 'nothing'}."]
    lines += [f"  {case['pool']} on {case['interface']}: {case['case']} ({case['reason']})" for case in facts["cases"]]
    if facts["right"]:
        lines.append("The node is as declared.")
    lines += [f"Missing: would {step}" for step in facts["missing"]]
    lines += [f"Waiting: {sentence}" for sentence in facts["waiting"]]
    lines += facts["undecided"]
    return "\n".join([*lines, *_guard_lines(facts["guard"])])


def _guard_lines(guard: dict[str, Any]) -> list[str]:
    if not guard["running"]:
        return [f"The guard is not running: nothing is put back by itself (systemctl status {UNIT_NAME})."]
    if "started" not in guard:
        return ["The guard is running and has not looked yet."]
    healed = sum(guard["healed"].values())
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(guard["started"]))
    lines = [f"The guard has been running since {since}, and put back {healed} object{'' if healed == 1 else 's'}."]
    for entry in guard["recent"][-SHOWN:]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["when"]))
        who = f", changed by {entry['who']}" if entry["who"] else ""
        lines.append(f"  {when} {entry['what']} (after {entry['milliseconds']:.0f} ms{who})")
    lines += [f"Left alone for a while: {sentence}" for sentence in guard["left_alone"]]
    return [*lines, *([f"Trouble: {guard['trouble']}"] if guard["trouble"] else [])]


def trouble(error: HomewardError) -> dict[str, Any]:
    """Return what status tells where it cannot tell more."""
    return {"right": False, "error": str(error), "undecided": list(undecided()), "guard": _guard()}
