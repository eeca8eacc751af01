# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes the state of the managed systemd unit: enabled, running, of which version."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..paths import SYSTEMD_DIRECTORY, SYSTEMD_TRANSIENT, SYSTEMD_UNITS, SYSTEMD_WANTS, VERSION_FILE
from ..state import Unit
from ..state.step import Step, StepsFailed

ANSWER_TIMEOUT = 120  # seconds; a start ends when the service reports that it is ready, after 30 at most


def systemd_runs() -> bool:
    """Whether systemd is this system's init (sd_booted(3))."""
    return Path(SYSTEMD_DIRECTORY).is_dir()


def active() -> frozenset[str]:
    """Return the names of the active units. Reading a directory is cheaper than a systemctl process."""
    prefix = "invocation:"
    try:
        return frozenset(
            entry.name[len(prefix) :] for entry in Path(SYSTEMD_UNITS).iterdir() if entry.name.startswith(prefix)
        )
    except OSError:
        return frozenset()


def read(names: Iterable[str]) -> frozenset[Unit]:
    """Return those of the named units that are enabled or running."""
    running = active()
    found = (Unit(name, _version(), Path(SYSTEMD_WANTS, name).is_symlink(), name in running) for name in names)
    return frozenset(unit for unit in found if unit.enabled or unit.running)


def _version() -> str:
    """Return the version that the running service wrote when it started."""
    try:
        return Path(VERSION_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def write(steps: Sequence[Step]) -> None:
    """Carry out steps of the kind ``unit``.

    A new unit that fails to start is disabled again. A removed unit does not remain listed as failed.

    :raises StepsFailed: with the message of systemctl.
    """
    done: list[Step] = []
    for step in steps:
        subject = step.subject
        if not isinstance(subject, Unit):
            raise TypeError(f"not a step of the kind unit: {step}")
        for words in _commands(step, subject):
            reason = _systemctl(*words)
            if reason:
                if step.before is None:
                    _disable(subject.name)
                raise StepsFailed(tuple(done), step, reason)
        if step.after is None:
            _systemctl("reset-failed", subject.name)
        done.append(step)


def start_timer(name: str, seconds: int, command: Sequence[str]) -> bool:
    """Have systemd run a command after this time, as a transient unit; return whether it will.

    A process in another network namespace than systemd's would act on the wrong one.
    """
    if not systemd_runs() or not in_namespace_of_systemd():
        return False
    words = (
        "--quiet",
        "--collect",
        f"--unit={name}",
        "--description=Roll back an unconfirmed change of the routing of MetalLB pools",
        f"--on-active={seconds}",
        "--timer-property=AccuracySec=100ms",
        "--property=Restart=on-failure",
        "--property=RestartSec=5",
        "--property=OOMScoreAdjust=-900",
        "--property=SyslogIdentifier=metallb-routing",
    )
    return not _run("systemd-run", *words, *command)


def stop_timer(name: str) -> None:
    """Stop a timer of :func:`start_timer`, if it exists."""
    if Path(SYSTEMD_TRANSIENT, f"{name}.timer").exists():
        _systemctl("stop", f"{name}.timer")


def has_timer(name: str) -> bool:
    """Whether a timer of :func:`start_timer` waits, or its command runs."""
    return any(Path(SYSTEMD_TRANSIENT, f"{name}.{suffix}").exists() for suffix in ("timer", "service"))


def in_namespace_of_systemd() -> bool:
    """Whether this process and systemd have the same links."""
    try:
        return os.path.samestat(Path("/proc/1/ns/net").stat(), Path("/proc/self/ns/net").stat())
    except OSError:
        return False


def _commands(step: Step, unit: Unit) -> Iterable[tuple[str, ...]]:
    if step.after is None:
        yield ("disable", "--now", unit.name)
        return
    if step.before == replace(unit, running=True):
        yield ("stop", unit.name)
        return
    yield ("daemon-reload",)
    yield ("enable" if unit.enabled else "disable", unit.name)
    yield ("restart" if unit.running else "stop", unit.name)


def _disable(name: str) -> None:
    """Disable a unit that did not start: systemd would retry even after its files are removed."""
    _systemctl("disable", "--now", name)
    _systemctl("reset-failed", name)


def _systemctl(*words: str) -> str:
    """Run systemctl; return why it failed, ``""`` for success."""
    return _run("systemctl", *words)


def _run(program: str, *words: str) -> str:
    command = [program, *words]
    try:
        completed = subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f'"{" ".join(command)}" did not end within {ANSWER_TIMEOUT} s; see "journalctl -u {words[-1]}"'
    except OSError as error:
        return f"{program} cannot be run: {error.strerror}"
    if completed.returncode == 0:
        return ""
    return f'"{" ".join(command)}" failed: {completed.stderr.strip() or completed.stdout.strip()}'
