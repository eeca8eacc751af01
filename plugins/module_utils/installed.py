# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's code that a run installed on this node: the label of its archive, and how a module runs from it.

Ansible sends the source of a module with each run, and Python compiles it each time. Code that is on the node already, with
its bytecode, needs neither.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from hashlib import sha256
from pathlib import Path

# First: it explains why an older Python fails.
from . import supported  # noqa: F401  # pylint: disable=unused-import
from .paths import RUNTIME

#: The package whose modules the archive contains.
ROOT = __name__.rpartition(".")[0]
#: In the result of a module that could not run from the archive.
UNUSABLE = "installed_code_unusable"
_in_use: list[str] = []  # the version of the archive from which this process imports, if it does
_LABEL = "sources {} bytecode {} content {}"
LABEL_LENGTH = len(_LABEL.format("0" * 64, "0" * 8, "0" * 64))


def label(version: str, content: bytes) -> bytes:
    """Return the comment with which an archive ends: what it was made of, and a checksum of all bytes before it.

    The bytecode is that of the running interpreter. Python does not promise to compile the same source to the same bytes
    twice, so archives are compared by their labels.

    :param version: of the sources, 64 hexadecimal digits.
    """
    return _LABEL.format(version, importlib.util.MAGIC_NUMBER.hex(), sha256(content).hexdigest()).encode()


def is_intact(archive: bytes, version: str) -> bool:
    """Whether the archive is complete, and contains these sources and bytecode for the running interpreter."""
    return archive[-LABEL_LENGTH:] == label(version, archive[:-LABEL_LENGTH])


def use_installed_code(version: str) -> bool:
    """Make the modules of :data:`ROOT` import from the archive on this node; return whether it has this version.

    :param version: of the sources that the controller has.
    """
    archive = Path(RUNTIME)
    try:
        usable = _only_root_writes(archive) and is_intact(archive.read_bytes(), version)
    except OSError:
        return False
    if usable:
        sys.modules[ROOT].__path__.insert(0, f"{RUNTIME}/{ROOT.replace('.', '/')}")
        _in_use.append(version)
    return usable


def version_in_use() -> str:
    """Return the version of the archive from which this process imports, ``""`` if it does not."""
    return _in_use[0] if _in_use else ""


def _only_root_writes(path: Path) -> bool:
    """Whether nobody but root can change the file, or put another one in its place."""
    return all(_is_roots(entry.lstat()) for entry in (path, *path.parents))


def _is_roots(status: os.stat_result) -> bool:
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return _owner(status) == 0 and not stat.S_ISLNK(status.st_mode) and bool(sticky or not writable)


def _owner(status: os.stat_result) -> int:
    return status.st_uid
