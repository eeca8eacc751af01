# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module runs from the archive on the node only if it is of the controller's version, intact, and root's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils import installed

VERSION, OTHER = "ab" * 32, "cd" * 32
CONTENT = b"PK" + bytes(range(256))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A usable archive in place of the node's; all above it belongs to root."""
    path = tmp_path / "runtime.zip"
    path.write_bytes(CONTENT + installed.label(VERSION, CONTENT))
    path.chmod(0o644)
    monkeypatch.setattr(installed, "RUNTIME", str(path))
    monkeypatch.setattr(installed, "_in_use", [])
    monkeypatch.setattr(installed, "_owner", lambda _status: 0)
    package = sys.modules[installed.ROOT]
    monkeypatch.setattr(package, "__path__", list(package.__path__))
    return path


def test_modules_import_from_an_intact_archive_of_the_same_version(archive: Path) -> None:
    assert installed.version_in_use() == ""
    assert installed.use_installed_code(VERSION)
    assert sys.modules[installed.ROOT].__path__[0] == f"{archive}/{installed.ROOT.replace('.', '/')}"
    assert installed.version_in_use() == VERSION


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)


def _replace_with_a_symlink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "truncated": _truncate,
    "damaged": _damage,
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "another version": lambda path: path.write_bytes(CONTENT + installed.label(OTHER, CONTENT)),
    "writable by others": lambda path: path.chmod(0o646),
    "writable by a group": lambda path: path.chmod(0o664),
    "in a folder that others write": lambda path: path.parent.chmod(0o777),
    "a symbolic link": _replace_with_a_symlink,
}


@pytest.mark.parametrize("change", UNUSABLE.values(), ids=UNUSABLE)
def test_any_other_archive_is_not_used(archive: Path, change: Callable[[Path], object]) -> None:
    before = list(sys.modules[installed.ROOT].__path__)
    change(archive)
    assert not installed.use_installed_code(VERSION)
    assert sys.modules[installed.ROOT].__path__ == before
    assert installed.version_in_use() == ""


def test_a_sticky_folder_protects_roots_file(archive: Path) -> None:
    archive.parent.chmod(0o1777)
    assert installed.use_installed_code(VERSION)


def test_an_archive_of_another_owner_is_not_used(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_owner", lambda status: int(status.st_ino == archive.stat().st_ino))
    assert not installed.use_installed_code(VERSION)


def test_bytecode_of_another_python_is_not_used(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archive.exists()
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"\0\0\r\n")
    assert not installed.use_installed_code(VERSION)
