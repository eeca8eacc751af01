# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes kernel settings, and stores the value that each had before the first change."""

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
ORIGINALS = Path(RUN_DIRECTORY)
# Of the thread, not of the process: a thread may be in another network namespace.
_OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
_BOOT = SETTINGS / "kernel/random/boot_id"
_FILTERS = ("rp_filter", "src_valid_mark")
_SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h, Linux 5.14


@dataclass(frozen=True)
class Original:
    """The record of a managed setting.

    :param was: its value before the first change.
    :param set: the value of the last change.
    """

    was: str
    set: str


def read(names: Iterable[str]) -> dict[str, str]:
    """Return the current value of each setting; settings that do not exist, for lack of a link or module, are left out.

    :param names: with slashes, below ``net/``.
    :raises NodeError: a name is not below ``net/``, or a setting cannot be read.
    """
    values = {}
    for name in names:
        value = _value(name)
        if value is not None:
            values[name] = value
    return values


def read_originals() -> dict[str, Original]:
    """Return the records of the managed settings of this network namespace, by name.

    :raises NodeError: the file is damaged.
    """
    path = _originals_file()
    found = files.read([str(path)])
    if not found:
        return {}
    (file,) = found
    try:
        content = json.loads(file.content)
        settings = {name: Original(str(item["was"]), str(item["set"])) for name, item in content["settings"].items()}
        namespace = content["namespace"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NodeError(
            f"{path}, which holds the original values of kernel settings, is damaged ({error})."
            " Set the settings in it manually, delete it, and run again."
        ) from error
    # A new namespace can get the inode of a removed one.
    return settings if namespace == _identity() else {}


def write(steps: Sequence[Step]) -> None:
    """Carry out steps of the kind ``sysctl``.

    Before a setting becomes managed, its current value is stored. A setting that is released gets that value back, if it
    still has the managed one, and its record is deleted. See :class:`Step`.

    :raises StepsFailed: the kernel rejected or ignored a value.
    """
    done: list[Step] = []
    for run in _without_repeats(steps):
        try:
            failed, reason = _write_run(run, done)
        except NodeError as error:
            failed, reason = run[0], str(error)
        except OSError as error:
            failed, reason = run[0], f"{error.filename or ORIGINALS}: {files.described(error)}"
        if reason:
            raise StepsFailed(tuple(done), failed, reason)


def _without_repeats(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield the steps in runs that name no setting twice, so that the records are written once for each run."""
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
    """Carry out steps, append them to ``done``, and return the failed one and why, or the last one and ``""``."""
    records = read_originals()
    values = read(_subject(step).name for step in run)
    planned = {**records, **dict(_new_records(run, values, records))}
    # Stored before any value changes: a process that dies half way loses no original value.
    if planned != records:
        _store(planned)
    outcome = records.copy()
    reason = ""
    for step in run:
        name = _subject(step).name
        reason = _write_value(step, values.get(name), planned.get(name))
        if reason:
            break
        done.append(step)
        outcome.pop(name, None)
        if step.after is not None:
            outcome[name] = planned[name]
    if outcome != planned:
        with suppress(OSError):  # /run is full or read-only; a record of a setting that is as it was has no effect
            _store(outcome)
    return step, reason


def _new_records(
    run: Iterable[Step], values: Mapping[str, str], records: Mapping[str, Original]
) -> Iterator[tuple[str, Original]]:
    """Yield the records of the settings that exist and get a managed value."""
    for step in run:
        name = _subject(step).name
        if isinstance(step.after, Sysctl) and name in values:
            known = records.get(name)
            # A value that was set by something else since is the new original.
            was = known.was if known and (step.before or _same(known.set, values[name])) else values[name]
            yield name, Original(was, step.after.value)


def _write_value(step: Step, current: str | None, original: Original | None) -> str:
    """Write the managed or the original value of a setting; return why that failed, ``""`` for success."""
    subject = _subject(step)
    if step.after is not None:
        if current is None:
            return f"the setting does not exist: {_why_missing(subject)}"
        reason = _set(subject.name, subject.value)
        if reason:
            _set(subject.name, current)
        return reason
    if original and current is not None and _same(current, original.set):
        return _set(subject.name, original.was)
    return ""


def _subject(step: Step) -> Sysctl:
    subject = step.subject
    if not isinstance(subject, Sysctl):
        raise TypeError(f"not a step of the kind sysctl: {step}")
    return subject


def _set(name: str, value: str) -> str:
    """Set a value; return why the setting does not have it then, ``""`` for success."""
    try:
        with _path(name).open("w", encoding="utf-8") as file:
            file.write(f"{value}\n")
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            return f"{name} = {value}: {files.described(error)}"
        if _same(_value(name) or "", value):  # set outside of the container, as the message advises
            return ""
        also = ", or declare rp_filter: leave for the pool" if name.endswith(_FILTERS) else ""
        return (
            f"{name} = {value}: {files.described(error)}; /proc/sys is read-only here, as in a container: set"
            f" {name} to {value} on the node itself{also}"
        )
    current = _value(name)
    # Some settings silently ignore a change in a container or namespace.
    if current is None or not _same(current, value):
        return f"{name} = {value}: the kernel accepted the value, but the setting reads {current!r}"
    return ""


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same value: the kernel separates numbers with tabs."""
    return one.split() == other.split()


def _value(name: str) -> str | None:
    """Return the current value, None if the setting does not exist."""
    try:
        return _path(name).read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NodeError(
            f"The kernel setting {name} cannot be read: {files.described(error)}. Run as root (become: true)."
        ) from error


def _path(name: str) -> Path:
    parts = name.split("/")
    if parts[0] != "net" or len(parts) < 3 or any(part in ("", ".", "..") for part in parts):
        raise NodeError(f"{name!r} is not the name of a network setting; write it as net/ipv4/conf/eth0.100/rp_filter.")
    return SETTINGS / name


def _why_missing(sysctl: Sysctl) -> str:
    if sysctl.interface:
        return f"the link {sysctl.interface} does not exist or has no {sysctl.name.split('/')[1]} settings"
    return "the kernel has been built or started without it"


def _originals_file() -> Path:
    return ORIGINALS / f"originals.{_OWN_NAMESPACE.stat().st_ino}.json"


def _identity() -> str:
    """Return an identifier that no other network namespace ever had: the ID of this boot, and the cookie of the namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8).hex()
        except OSError:  # before Linux 5.14
            cookie = ""
    return f"{_BOOT.read_text(encoding='ascii').strip()}/{cookie}"


def _store(originals: Mapping[str, Original]) -> None:
    """Write all records, or remove the file if there are none."""
    path = _originals_file()
    if not originals:
        path.unlink(missing_ok=True)
        with suppress(OSError):  # there may be files of other namespaces
            ORIGINALS.rmdir()
        return
    settings = {name: {"was": item.was, "set": item.set} for name, item in sorted(originals.items())}
    text = json.dumps({"namespace": _identity(), "settings": settings}, indent=1)
    ORIGINALS.mkdir(mode=0o700, parents=True, exist_ok=True)
    ORIGINALS.chmod(0o700)
    files.replace(File(str(path), f"{text}\n", 0o600))
