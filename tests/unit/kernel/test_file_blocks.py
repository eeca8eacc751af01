# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed block in a foreign file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import files
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.file_blocks import (
    block_in,
    with_block,
    without_block,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import BLOCK_HEADER
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import FILE
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step

BLOCK, OTHER = f"{BLOCK_HEADER}denyinterfaces eth0.100\n", f"{BLOCK_HEADER}denyinterfaces eth0.200 eth0.300\n"
TEXTS = ("", "duid\n", "duid", "# a comment\n\ninterface eth1\nstatic ip_address=192.0.2.1/24\n", "\n", "a\udcff\n")


@pytest.mark.parametrize("text", TEXTS)
def test_a_block_is_added_replaced_and_removed(text: str) -> None:
    added = with_block(text, BLOCK)
    assert added == BLOCK + text, "before any section for one link"
    assert block_in(added) == BLOCK
    assert with_block(added, OTHER) == OTHER + text
    assert without_block(added) == text
    assert without_block(text) == text
    assert block_in(text) == ""


@pytest.mark.parametrize("before", ["# mine\n", "\n\n"])
@pytest.mark.parametrize("after", ["", "duid\n"])
def test_a_block_that_was_moved_stays_there(before: str, after: str) -> None:
    text = before + BLOCK + after
    assert with_block(text, OTHER) == before + OTHER + after
    assert without_block(text) == before + after


def test_a_block_at_the_end_may_lack_its_line() -> None:
    assert without_block(f"duid\n{BLOCK_HEADER}") == "duid\n"
    assert without_block(f"duid\n{BLOCK.rstrip()}") == "duid\n"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "dhcpcd.conf"
    monkeypatch.setattr(files, "SHARED_FILES", {str(path)})
    monkeypatch.setattr(files, "FOLDERS_FILE", str(tmp_path / "folders"))
    return path


def test_the_rest_of_the_file_and_its_mode_stay(shared: Path) -> None:
    shared.write_bytes(b"duid\r\ninterface eth1\n\xff\n")
    shared.chmod(0o640)
    before, file = shared.read_bytes(), File(str(shared), BLOCK)
    assert files.read([str(shared)]) == frozenset()
    files.write([Step(FILE.name, None, file)])
    assert files.read([str(shared)]) == {file}
    assert shared.read_bytes() == BLOCK.encode() + before
    assert shared.stat().st_mode & 0o777 == 0o640
    files.write([Step(FILE.name, file, None)])
    assert shared.read_bytes() == before
    assert shared.stat().st_mode & 0o777 == 0o640


def test_a_file_that_did_not_exist_is_removed_again(shared: Path) -> None:
    file = File(str(shared), BLOCK)
    files.write([Step(FILE.name, None, file)])
    assert (shared.read_text(), shared.stat().st_mode & 0o777) == (BLOCK, 0o644)
    files.write([Step(FILE.name, file, None)])
    assert not shared.exists()


def test_a_link_to_a_file_is_left_alone(shared: Path, tmp_path: Path) -> None:
    """Replacing it would detach it from the file of a configuration manager."""
    (tmp_path / "real").write_text("duid\n")
    shared.symlink_to(tmp_path / "real")
    assert files.read([str(shared)]) == frozenset()
    assert not files.is_writable(str(shared))


def test_a_pipe_in_its_place_blocks_nothing(shared: Path) -> None:
    os.mkfifo(shared)
    assert files.read([str(shared)]) == frozenset()
    assert not files.is_writable(str(shared))
