# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes managed files, each atomically: a reader sees the old or the new file, never a part."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import NodeError
from ..paths import FOLDERS_FILE, METRICS_FILE, OWN_DIRECTORY
from ..state import File
from ..state.managers import SHARED_FILES
from ..state.step import Step, StepsFailed
from .file_blocks import block_in, with_block, without_block


def read(paths: Iterable[str]) -> frozenset[File]:
    """Return those of the files that exist.

    :raises NodeError: one is not a regular file, or cannot be read.
    """
    return frozenset(file for file in map(_read, paths) if file is not None)


def _read(path: str) -> File | None:
    try:
        # Non-blocking, as opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            _refuse_unless_foreign(path)
            return None
        raise NodeError(f"{path} cannot be read: {described(error)}. Run as root (become: true).") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            _refuse_unless_foreign(path)
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {described(error)}. Run as root (become: true).") from error
    finally:
        os.close(descriptor)
    if path in SHARED_FILES:
        block = block_in(content)
        return File(path, block) if block else None
    return File(path, content, stat.S_IMODE(status.st_mode))


def _refuse_unless_foreign(path: str) -> None:
    """Refuse what is in the place of a managed file.

    A shared file belongs to another program, and the directory of the metrics may belong to another user.
    """
    if path not in SHARED_FILES and Path(path).name != METRICS_FILE:
        raise NodeError(f"{path} is not a regular file, but it is the path of a managed file. Remove or rename it.")


def is_writable(path: str) -> bool:
    """Whether a file can be written at this path: in its folder, or in one that would be created."""
    if path in SHARED_FILES and Path(path).exists() and (Path(path).is_symlink() or not Path(path).is_file()):
        return False
    return may_write(str(next(place for place in Path(path).parents if place.is_dir())))


def may_write(folder: str) -> bool:
    """Whether files can be created in the folder: it exists, and its file system is writable."""
    return os.access(folder, os.W_OK | os.X_OK)


def write(steps: Sequence[Step]) -> None:
    """Carry out steps of the kind ``file``.

    A folder is removed with the last file in it if it is called :data:`OWN_DIRECTORY` or was created here; no other one is.

    :raises StepsFailed: with the message of the system.
    """
    done: list[Step] = []
    for step in steps:
        subject = step.subject
        if not isinstance(subject, File):
            raise TypeError(f"not a step of the kind file: {step}")
        try:
            if subject.path in SHARED_FILES:
                _write_block(Path(subject.path), subject.content if step.after else "")
            elif step.after is None:
                remove(Path(subject.path))
            else:
                replace(subject)
        except OSError as error:
            hint = "; persist: false installs neither the agent nor its files" if error.errno == errno.EROFS else ""
            raise StepsFailed(
                tuple(done), step, f"{error.filename or subject.path}: {described(error)}{hint}"
            ) from error
        done.append(step)


def _write_block(path: Path, block: str) -> None:
    """Write the managed block of a file of another program, or remove it, and the file if nothing else is in it."""
    try:
        text, status = path.read_bytes().decode("utf-8", "surrogateescape"), path.stat()
    except FileNotFoundError:
        text, status = "", None
    changed = with_block(text, block) if block else without_block(text)
    if not changed:
        remove(path)
    elif status is None:
        replace(File(str(path), changed))
    else:
        replace(File(str(path), changed, stat.S_IMODE(status.st_mode)), (status.st_uid, status.st_gid))


def replace(file: File, owner: tuple[int, int] | None = None) -> None:
    """Write the file atomically, and create missing folders above it.

    :param owner: its user and group, by default those of this process.
    :raises OSError: nothing was changed, except that folders may have been created.
    """
    path = Path(file.path)
    _make_folders(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(file.content.encode("utf-8", "surrogateescape"))
            stream.flush()
            if owner:
                os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), file.mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove the file if it exists, and the folders above it that are managed and empty then.

    :raises OSError: the file could not be removed.
    """
    with suppress(FileNotFoundError):
        path.unlink()
        _sync(path.parent)
    created = _created_folders()
    for folder in path.parents:
        if OWN_DIRECTORY not in folder.parts and str(folder) not in created:
            return
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return
        remaining = created - {str(folder)}
        _remember_folders(remaining, created)
        created = remaining


def _make_folders(folder: Path) -> None:
    """Create the folder and those above it, readable by everybody whatever the umask is."""
    missing = [place for place in (folder, *folder.parents) if not place.is_dir()]
    for place in reversed(missing):
        place.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchmod(descriptor, 0o755)
        finally:
            os.close(descriptor)
    foreign = {str(place) for place in missing if OWN_DIRECTORY not in place.parts}
    if foreign:
        created = _created_folders()
        with suppress(OSError):  # then they stay
            _remember_folders(created | foreign, created)


def _created_folders() -> frozenset[str]:
    """Return the folders of other programs that were created for a managed file."""
    try:
        return frozenset(Path(FOLDERS_FILE).read_text(encoding="utf-8").splitlines())
    except OSError:
        return frozenset()


def _remember_folders(folders: frozenset[str], before: frozenset[str]) -> None:
    if folders == before:
        return
    if folders:
        replace(File(FOLDERS_FILE, "".join(f"{folder}\n" for folder in sorted(folders))))
    else:
        remove(Path(FOLDERS_FILE))


def _sync(folder: Path) -> None:
    """Make a change of the names in the folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def described(error: OSError) -> str:
    """Return the reason with the name of the error."""
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
