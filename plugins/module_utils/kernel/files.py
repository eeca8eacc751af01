# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes small files of ours, each as a whole: a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import NodeError
from ..paths import OWN_DIRECTORY
from ..state import File
from ..state.step import Step, StepsFailed


def read(paths: Iterable[str]) -> frozenset[File]:
    """Return the files that are there, of those named.

    :raises NodeError: something else than a regular file has that name, or it cannot be read.
    """
    return frozenset(file for file in map(_read, paths) if file is not None)


def _read(path: str) -> File | None:
    place = Path(path)
    try:
        status = place.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise NodeError(f"{path} is not a regular file, but we keep a file of ours there. Move it away.")
        content = place.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {_words(error)}. Run as root.") from error
    return File(path, content, stat.S_IMODE(status.st_mode))


def may_write(folder: str) -> bool:
    """Whether files can be made in the folder: it is there, and not on a read-only file system."""
    return os.access(folder, os.W_OK | os.X_OK)


def write(steps: Sequence[Step]) -> None:
    """Carry out steps of the kind ``file``.

    A folder called :data:`OWN_DIRECTORY` goes with the last file below it; no other folder is ever removed.

    :raises StepsFailed: with the system's message.
    """
    done: list[Step] = []
    for step in steps:
        subject = step.subject
        if not isinstance(subject, File):
            raise TypeError(f"not a step of the kind file: {step}")
        try:
            if step.after is None:
                remove(Path(subject.path))
            else:
                replace(subject)
        except OSError as error:
            raise StepsFailed(tuple(done), step, f"{error.filename or subject.path}: {_words(error)}") from error
        done.append(step)


def replace(file: File) -> None:
    """Put the file in its place in one move, and the folders above it where they are missing.

    :raises OSError: nothing has changed but folders that may have been made.
    """
    place = Path(file.path)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(file.content.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fchmod(stream.fileno(), file.mode)
            os.fsync(stream.fileno())
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(place.parent)


def remove(place: Path) -> None:
    """Remove the file if it is there, and those folders of ours above it that are empty now.

    :raises OSError: the file could not be removed.
    """
    with suppress(FileNotFoundError):
        place.unlink()
        _sync(place.parent)
    for folder in place.parents:
        if OWN_DIRECTORY not in folder.parts:
            return
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            return


def _sync(folder: Path) -> None:
    """Make a change of names in the folder last over a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _words(error: OSError) -> str:
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
