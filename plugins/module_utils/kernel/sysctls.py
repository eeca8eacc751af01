# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes kernel settings, and remembers what each was before we changed it."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import NodeError
from ..paths import RUN_DIRECTORY
from ..state import File, Sysctl
from ..state.step import Step, StepsFailed
from . import files

SETTINGS = Path("/proc/sys")
MEMORY = Path(RUN_DIRECTORY)
# Of the thread, not of the process: a thread may be in a network namespace of its own.
_OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
_BOOT = SETTINGS / "kernel/random/boot_id"
_SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h, Linux 5.14


@dataclass(frozen=True)
class Original:
    """What we remember of a setting.

    :param was: its value before we first changed it.
    :param set: the value we gave it last.
    """

    was: str
    set: str


def read(names: Iterable[str]) -> dict[str, str]:
    """Return the present value of each setting; those that do not exist (no such interface, module) are left out.

    :param names: with slashes, below ``net/``.
    :raises NodeError: a name leads elsewhere, or a setting cannot be read.
    """
    values = {}
    for name in names:
        value = _value(name)
        if value is not None:
            values[name] = value
    return values


def read_originals() -> dict[str, Original]:
    """Return what we remember of this network namespace's settings, by name.

    :raises NodeError: the file is there but cannot be understood.
    """
    place = _memory_file()
    present = files.read([str(place)])
    if not present:
        return {}
    (file,) = present
    try:
        content = json.loads(file.content)
        settings = {name: Original(str(item["was"]), str(item["set"])) for name, item in content["settings"].items()}
        namespace = content["namespace"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NodeError(
            f"{place}, which holds the values that kernel settings had before we changed them, is damaged ({error})."
            " Look at it, set the settings it names by hand, and delete it; then run again."
        ) from error
    # A new namespace can get the number of one that has ended.
    return settings if namespace == _identity() else {}


def write(steps: Sequence[Step]) -> None:
    """Carry out steps of the kind ``sysctl``.

    A setting that is taken over has its present value remembered first; one that is released gets that value back if it
    still has ours, and is forgotten. See :class:`Step`.

    :raises StepsFailed: a value was refused, or not taken.
    """
    done: list[Step] = []
    for run in _without_repeats(steps):
        try:
            failed, reason = _write_run(run, done)
        except NodeError as error:
            failed, reason = run[0], str(error)
        except OSError as error:
            failed, reason = run[0], f"{error.filename or MEMORY}: {_words(error)}"
        if reason:
            raise StepsFailed(tuple(done), failed, reason)


def _without_repeats(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield the steps in runs that name no setting twice, so that the memory is written once for each run."""
    run: dict[str, Step] = {}
    for step in steps:
        name = _subject(step).name
        if name in run:
            yield list(run.values())
            run = {}
        run[name] = step
    if run:
        yield list(run.values())


def _write_run(run: Sequence[Step], done: list[Step]) -> tuple[Step, str]:
    """Carry out steps, put them into ``done``, and return the one that failed and why, or the last one and ``""``."""
    memory = read_originals()
    values = read(_subject(step).name for step in run)
    planned = {**memory, **dict(_taken_over(run, values, memory))}
    # Remembered before any value changes: a process that dies half way has forgotten nothing.
    if planned != memory:
        _remember(planned)
    outcome = memory.copy()
    reason = ""
    for step in run:
        name = _subject(step).name
        reason = _give(step, values.get(name), planned.get(name))
        if reason:
            break
        done.append(step)
        outcome.pop(name, None)
        if step.after is not None:
            outcome[name] = planned[name]
    if outcome != planned:
        _remember(outcome)
    return step, reason


def _taken_over(
    run: Iterable[Step], values: Mapping[str, str], memory: Mapping[str, Original]
) -> Iterator[tuple[str, Original]]:
    """Yield what to remember of the settings that exist and get a value of ours."""
    for step in run:
        name = _subject(step).name
        if isinstance(step.after, Sysctl) and name in values:
            known = memory.get(name)
            # A value that somebody gave it after us is now the one to go back to.
            was = known.was if known and (step.before or _same(known.set, values[name])) else values[name]
            yield name, Original(was, step.after.value)


def _give(step: Step, present: str | None, original: Original | None) -> str:
    """Give one setting its value, ours or the one it had; return why that failed, ``""`` for success."""
    subject = _subject(step)
    if step.after is not None:
        if present is None:
            return f"there is no such setting: {_why_missing(subject)}"
        reason = _set(subject.name, subject.value)
        if reason:
            _set(subject.name, present)
        return reason
    if original and present is not None and _same(present, original.set):
        return _set(subject.name, original.was)
    return ""


def _subject(step: Step) -> Sysctl:
    subject = step.subject
    if not isinstance(subject, Sysctl):
        raise TypeError(f"not a step of the kind sysctl: {step}")
    return subject


def _set(name: str, value: str) -> str:
    """Give a setting a value; return why it has not taken it, ``""`` for success."""
    try:
        with _place(name).open("w", encoding="utf-8") as file:
            file.write(f"{value}\n")
    except OSError as error:
        return f"{name} = {value}: {_words(error)}"
    present = _value(name)
    # Some settings cannot be changed in a container or a namespace, and say nothing of it.
    if present is None or not _same(present, value):
        return f"{name} = {value}: the kernel accepted the value, but then has {present!r}"
    return ""


def _same(one: str, other: str) -> bool:
    """Whether two texts are one value: the kernel puts tabs between numbers."""
    return one.split() == other.split()


def _value(name: str) -> str | None:
    """Return the present value, None if there is no such setting."""
    try:
        return _place(name).read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NodeError(f"the kernel setting {name} cannot be read: {_words(error)}. Run as root.") from error


def _place(name: str) -> Path:
    parts = name.split("/")
    if parts[0] != "net" or len(parts) < 3 or any(part in ("", ".", "..") for part in parts):
        raise NodeError(f"{name!r} is not the name of a network setting; write it as net/ipv4/conf/eth0.100/rp_filter.")
    return SETTINGS / name


def _why_missing(sysctl: Sysctl) -> str:
    if sysctl.interface:
        return f"the link {sysctl.interface} or its {sysctl.name.split('/')[1]} part is missing"
    return "the kernel has been built or started without it"


def _words(error: OSError) -> str:
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"


def _memory_file() -> Path:
    return MEMORY / f"originals.{_OWN_NAMESPACE.stat().st_ino}.json"


def _identity() -> str:
    """Return what no other network namespace has or ever had: this boot, and the kernel's number for the namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8).hex()
        except OSError:  # before Linux 5.14
            cookie = ""
    return f"{_BOOT.read_text(encoding='ascii').strip()}/{cookie}"


def _remember(originals: Mapping[str, Original]) -> None:
    """Write the memory as a whole; without anything to remember there is no file."""
    place = _memory_file()
    if not originals:
        place.unlink(missing_ok=True)
        with suppress(OSError):  # other namespaces may have theirs there
            MEMORY.rmdir()
        return
    settings = {name: {"was": item.was, "set": item.set} for name, item in sorted(originals.items())}
    text = json.dumps({"namespace": _identity(), "settings": settings}, indent=1)
    MEMORY.mkdir(mode=0o700, parents=True, exist_ok=True)
    MEMORY.chmod(0o700)
    files.replace(File(str(place), f"{text}\n", 0o600))
