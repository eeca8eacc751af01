# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the managed chains with ``iptables-restore``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import NodeError
from ...paths import XTABLES_LOCK_FILE
from ...state import ChainSet, Ownership
from ...state.iptables_restore import render_restore
from ...state.iptables_save import parse_save
from ...state.step import Step, StepsFailed
from . import programs


def require_extensions(steps: Sequence[Step], ownership: Ownership) -> None:
    """Refuse chains that this kernel does not support, before anything is written.

    For the first chains of a family, ``iptables-restore --test`` asks the kernel for every match and target, and writes
    nothing. Where managed chains exist already, the kernel has what they need. The legacy variant is left out: its test
    would create the tables and wait for the lock. There the step fails with the same message.

    :raises NodeError: with the message of the program, which names what is missing.
    """
    for step in steps:
        before, after = step.before, step.after
        is_first = not (isinstance(before, ChainSet) and before.chains)
        if isinstance(after, ChainSet) and after.chains and is_first and after.variant == "nft":
            text = render_restore(ChainSet(after.variant, after.family), after, ownership)
            command = programs.find(*after.key, "restore")
            completed = programs.run((*command, "--noflush", "--test"), text) if command else None
            if completed and completed.returncode:
                message = programs.complaint(completed)
                raise NodeError(
                    f"The {after.family} iptables ({after.variant}) of this node does not support the chains that are needed:"
                    f" {message}{_offending_line(message, text)}. Load the kernel module (for example xt_connmark for CONNMARK),"
                    " or install the package that has it. Nothing was written."
                )


def write(steps: Sequence[Step], ownership: Ownership, lock_wait: int = programs.LOCK_WAIT) -> None:
    """Carry out steps of the kind ``chains``, one ``iptables-restore`` each.

    A step that fails leaves its chains as they were before it.

    :param lock_wait: seconds to wait for the lock of the legacy variant.
    :raises StepsFailed: with the message of the program and the line that it is about.
    """
    done: list[Step] = []
    for step in steps:
        reason = _write(step, ownership, lock_wait)
        if reason:
            raise StepsFailed(tuple(done), step, reason)
        done.append(step)


def _write(step: Step, ownership: Ownership, lock_wait: int) -> str:
    """Carry out one step; return why it failed, ``""`` for success."""
    subject = step.subject
    if not isinstance(subject, ChainSet):
        raise TypeError(f"not a step of the kind chains: {step}")
    empty = ChainSet(subject.variant, subject.family)
    before = step.before if isinstance(step.before, ChainSet) else empty
    after = step.after if isinstance(step.after, ChainSet) else empty
    text = render_restore(before, after, ownership)
    if not text:
        return ""
    command = programs.find(*subject.key, "restore")
    if not command:
        return f"no iptables-restore for {subject.family} of variant {subject.variant} was found. {programs.INSTALL}"
    reason = _restore(command, text, lock_wait)
    if reason and text.count("\nCOMMIT\n") > 1:
        # Tables are written one after the other: those before the failing one have changed.
        reason += _roll_back(command, before, ownership, lock_wait)
    return reason


def _restore(command: Sequence[str], text: str, lock_wait: int) -> str:
    try:
        completed = programs.run((*command, "--noflush", "-w", str(lock_wait)), text)
    except NodeError as error:
        return str(error)
    if completed.returncode == 0:
        return ""
    message = programs.complaint(completed)
    if "xtables lock" in message:
        return f"the xtables lock is held by {_lock_holder()}; waited {lock_wait} s. Run again when it is released"
    return message + _offending_line(message, text)


def _offending_line(message: str, text: str) -> str:
    """Return the line that the message of the program is about: the reader has not seen the text."""
    match = re.search(r"line:? (\d+)", message)
    lines = text.split("\n")
    number = int(match.group(1)) if match else 0
    return f' (line {number}: "{lines[number - 1]}")' if 0 < number <= len(lines) else ""


def _roll_back(command: Sequence[str], before: ChainSet, ownership: Ownership, lock_wait: int) -> str:
    """Give the tables the chains from before a restore that failed half-way; return what to add to the reason."""
    failed = ""
    try:
        completed = programs.run(programs.find(*before.key, "save"))
        current = parse_save(completed.stdout, *before.key, ownership).chain_set
        text = render_restore(current, before, ownership)
        if completed.returncode:
            failed = programs.complaint(completed)
        elif text:
            failed = _restore(command, text, lock_wait)
    except NodeError as error:
        failed = str(error)
    return f"; rolling back the tables written before it failed: {failed}" if failed else ""


def _lock_holder() -> str:
    """Return the process that holds the lock of the legacy variant, according to ``/proc/locks``."""
    lock = os.environ.get("XTABLES_LOCKFILE", XTABLES_LOCK_FILE)
    try:
        inode = Path(lock).stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return "another process"
    for line in locks.splitlines():
        words = line.split()
        if "->" not in words and len(words) > 5 and words[5].endswith(f":{inode}"):
            return f"pid {words[4]}{_program_of(words[4])}"
    return "another process"


def _program_of(pid: str) -> str:
    try:
        name = Path("/proc", pid, "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return f" ({name})"
