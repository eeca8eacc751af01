# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed files: written atomically with their mode, and removed without anything else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import files
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import METRICS_FILE, OWN_DIRECTORY
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step, StepsFailed


@pytest.fixture(autouse=True)
def own_memory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that names created folders, away from that of the machine."""
    path = tmp_path_factory.mktemp("memory") / OWN_DIRECTORY / "folders"
    monkeypatch.setattr(files, "FOLDERS_FILE", str(path))
    return path


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def make(path: Path, content: str = "77 homeward\n", mode: int = 0o644) -> Step:
    return Step("file", None, File(str(path), content, mode))


def test_reads_the_named_files_that_exist(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n", encoding="utf-8")
    (tmp_path / "b").write_text("two\n", encoding="utf-8")
    (tmp_path / "a").chmod(0o640)
    paths = [str(tmp_path / name) for name in ("a", "absent", "a/below-a-file")]
    assert files.read(paths) == {File(paths[0], "one\n", 0o640)}


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_writes_content_and_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    step = make(tmp_path / "conf.d" / "deep" / "x.conf", "größe\n", mode)
    files.write([step])
    assert files.read([str(tmp_path / "conf.d" / "deep" / "x.conf")]) == {step.after}
    assert [item.name for item in (tmp_path / "conf.d" / "deep").iterdir()] == ["x.conf"], "no temporary file is left"


def test_an_open_old_file_remains_readable(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    files.write([make(path, "old\n")])
    with path.open(encoding="utf-8") as reader:
        files.write([Step("file", File(str(path), "old\n"), File(str(path), "new\n"))])
        assert reader.read() == "old\n"
    assert path.read_text(encoding="utf-8") == "new\n"


def test_bytes_that_are_not_utf8_are_preserved(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(b"\xff\xfe\n")
    (before,) = files.read([str(path)])
    files.write([Step("file", before, None)])
    files.write([Step("file", None, before)])
    assert path.read_bytes() == b"\xff\xfe\n"


def test_removes_the_file_and_only_its_own_empty_folders(tmp_path: Path) -> None:
    own, other = tmp_path / OWN_DIRECTORY, tmp_path / "other"
    other.mkdir()
    steps = [make(own / "deep" / "x"), make(own / "y"), make(other / "x")]
    files.write(steps)
    files.write([steps[0].inverse(), steps[2].inverse()])
    assert [item.name for item in own.iterdir()] == ["y"], "it is not empty yet, and what was below it is gone"
    assert list(other.iterdir()) == [], "another folder was removed, or is not empty"
    files.write([steps[1].inverse()])
    assert not own.exists()
    assert other.is_dir()


@pytest.mark.usefixtures("strict_umask")
def test_folders_are_readable_whatever_the_umask_and_removed_with_the_last_file(
    tmp_path: Path, own_memory: Path
) -> None:
    """systemd-networkd reads its drop-ins as a user of its own."""
    top, deep = tmp_path / "networkd.conf.d", tmp_path / "networkd.conf.d" / "deep"
    first, second = make(deep / "x.conf"), make(top / "y.conf")
    files.write([first, second])
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (top, deep)} == {0o755}
    assert stat.S_IMODE(own_memory.parent.stat().st_mode) == 0o755
    files.write([first.inverse()])
    assert not deep.exists()
    (top / "foreign.conf").write_text("")
    files.write([second.inverse()])
    assert [item.name for item in top.iterdir()] == ["foreign.conf"]
    (top / "foreign.conf").unlink()
    files.write([second.inverse()])
    assert not top.exists()
    assert not own_memory.parent.exists()


def test_several_created_folders_are_removed_and_forgotten_at_once(tmp_path: Path, own_memory: Path) -> None:
    """Debian 13 has no /etc/iproute2."""
    step = make(tmp_path / "iproute2" / "rt_protos.d" / "homeward.conf")
    files.write([step])
    files.write([step.inverse()])
    assert list(tmp_path.iterdir()) == []
    assert not own_memory.parent.exists()


def test_a_pipe_or_link_is_refused_without_waiting_and_ignored_for_metrics(tmp_path: Path) -> None:
    """The directory of the metrics may belong to another user."""
    for name in ("x.conf", METRICS_FILE):
        os.mkfifo(tmp_path / name)
    (tmp_path / "link").symlink_to("x.conf")
    assert files.read([str(tmp_path / METRICS_FILE)]) == frozenset()
    for name in ("x.conf", "link"):
        with pytest.raises(NodeError, match="is not a regular file"):
            files.read([str(tmp_path / name)])


def test_removing_a_missing_file_is_no_failure(tmp_path: Path) -> None:
    files.write([make(tmp_path / "x").inverse(), make(tmp_path / OWN_DIRECTORY / "x").inverse()])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_says_which_file_and_why(tmp_path: Path) -> None:
    (tmp_path / "in-the-way").write_text("", encoding="ascii")
    good, bad = make(tmp_path / "x"), make(tmp_path / "in-the-way" / "y")
    with pytest.raises(StepsFailed) as caught:
        files.write([good, bad, make(tmp_path / "z")])
    assert caught.value.done == (good,)
    assert caught.value.failed == bad
    assert "in-the-way" in caught.value.reason
    assert not (tmp_path / "z").exists()


def test_a_failed_move_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StepsFailed, match="EISDIR"):
        files.write([make(tmp_path / "x")])
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


def test_refuses_to_read_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/hostname")
    for name in ("folder", "link"):
        with pytest.raises(NodeError, match=f"{name} is not a regular file"):
            files.read([str(tmp_path / name)])


def test_created_folders_are_readable_by_all(tmp_path: Path) -> None:
    files.write([make(tmp_path / "rt_protos.d" / "homeward.conf")])
    assert stat.S_IMODE((tmp_path / "rt_protos.d").stat().st_mode) == 0o755
