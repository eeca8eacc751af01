# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a node: what is desired, what differs, and what the agent has done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..diagnosis.finding import FAILURE, WARNING, Finding
from ..errors import HomewardError
from ..kernel.systemd import active
from ..paths import COMMAND, RUNTIME, UNIT_NAME
from ..pending import undecided
from ..persistence.change import is_prepared
from ..state.kinds import SAVED
from . import once
from .report import read_report

_SEVERITIES = {FAILURE: "Failure", WARNING: "Warning"}
SHOWN = 10  # reconciled objects that are listed one by one


def gather() -> dict[str, Any]:
    """Return what ``status --json`` prints; its keys are an interface.

    :raises HomewardError: the state file or the node cannot be read.
    """
    saved, drift = once.check()
    waiting = [*drift.waiting, *drift.unreadable]
    return {
        "declared": {kind.plural: len(saved.state.parts_of(kind)) for kind in SAVED},
        "cases": list(saved.cases),
        "right": not drift.steps and not waiting and all(one.severity != FAILURE for one in drift.findings),
        "missing": [str(step) for step in drift.steps],
        "waiting": waiting,
        "notes": list(drift.notes),
        "findings": [one.as_json() for one in drift.findings],
        "undecided": list(undecided(is_prepared)),
        "guard": _agent(),
    }


def gather_without_state(error: HomewardError) -> dict[str, Any]:
    """Return what ``status --json`` prints if :func:`gather` fails."""
    return {"right": False, "error": str(error), "undecided": list(undecided(is_prepared)), "guard": _agent()}


def _agent() -> dict[str, Any]:
    """Return the last report of the agent, and whether it runs: as a service, or started by hand."""
    report = read_report()
    return {**report, "running": _is_agent(report.get("pid")) or UNIT_NAME in active()}


def _is_agent(pid: Any) -> bool:
    """Whether the process is the agent: the kernel reuses process IDs."""
    try:
        words = Path(f"/proc/{int(pid)}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, TypeError):
        return False
    # "k3s agent" and "rke2 agent" run on the same nodes. In version 0.1.0 it was the command with "agent" or "guard".
    return bool({RUNTIME.encode(), COMMAND.encode()} & {*words}) and (b"agent" in words or b"guard" in words)


def as_text(facts: dict[str, Any]) -> str:
    """Return what ``status`` prints, from the facts of :func:`gather`."""
    desired = ", ".join(f"{count} {kind}" for kind, count in facts["declared"].items() if count)
    lines = [f"Desired: {desired or 'nothing'}."]
    lines += [f"  {case['pool']} on {case['interface']}: {case['case']} ({case['reason']})" for case in facts["cases"]]
    if facts["right"]:
        lines.append("The node is in the desired state.")
    lines += [f"To reconcile: {step}" for step in facts["missing"]]
    lines += [f"Waiting: {sentence}" for sentence in facts["waiting"]]
    lines += [f"{_SEVERITIES[one['severity']]}: {Finding(**one)}" for one in facts["findings"]]
    lines += [f"Note: {sentence}" for sentence in facts["notes"]]
    lines += facts["undecided"]
    return "\n".join([*lines, *_agent_lines(facts["guard"], facts["undecided"])])


def _agent_lines(report: dict[str, Any], undecided: Sequence[str]) -> list[str]:
    if not report["running"] and undecided:
        return ["The agent is stopped until that is decided."]
    if not report["running"]:
        return [f"The agent is not running, so drift is not reconciled (see systemctl status {UNIT_NAME})."]
    if "started" not in report:
        return ["The agent is running and has not checked the node yet."]
    count = sum(report["healed"].values())
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(report["started"]))
    lines = [f"The agent has been running since {since} and has reconciled {count} object{'' if count == 1 else 's'}."]
    for entry in report["recent"][-SHOWN:]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["when"]))
        who = f", changed by {entry['who']}" if entry["who"] else ""
        lines.append(f"  {when} {entry['what']} (after {entry['milliseconds']:.0f} ms{who})")
    lines += [f"Backing off: {sentence}" for sentence in report["left_alone"]]
    lines += [f"MetalLB: {sentence}" for sentence in report.get("speaker", ())]
    return [*lines, *([f"Problem: {report['trouble']}"] if report["trouble"] else [])]
