# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a later run does with the marker files of earlier changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils import pending
from ansible_collections.homeward.metallb_routing.plugins.module_utils.pending import PendingChange

STATES = ("unconfirmed", "confirmed", "rolling-back", "taking-back")  # the last one is rolling-back in version 0.1.0


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a marker file in each state."""
    monkeypatch.setattr(pending, "DIRECTORY", tmp_path / "markers")
    pending.DIRECTORY.mkdir()
    for state in STATES:
        (pending.DIRECTORY / f"{state}.1-{state}").touch()
    return pending.DIRECTORY


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_run_for_the_whole_state_confirms_and_ends_rollbacks(directory: Path) -> None:
    pending.confirm_earlier(whole_state=True)
    assert names(directory) == ["confirmed.1-unconfirmed"]


def test_a_run_for_one_kind_confirms_and_ends_no_rollback(directory: Path) -> None:
    pending.confirm_earlier(whole_state=False)
    assert names(directory) == ["confirmed.1-unconfirmed", "rolling-back.1-rolling-back", "taking-back.1-taking-back"]


@pytest.mark.usefixtures("directory")
def test_pending_changes_and_rollbacks_are_reported_those_of_version_0_1_0_too() -> None:
    beginnings = [sentence.partition(";")[0] for sentence in pending.undecided(lambda name: name == "1-unconfirmed")]
    assert beginnings == ["A change is not confirmed yet", *["A change is being rolled back"] * 2]


@pytest.mark.parametrize("content", ["", "1 0", "4194305 77", "nonsense"])
def test_a_change_that_nobody_will_roll_back_is_reported_as_such(directory: Path, content: str) -> None:
    """Its process has ended, or its process ID belongs to another one now."""
    (directory / "unconfirmed.1-unconfirmed").write_text(content)
    first = pending.undecided(lambda _name: False)[0]
    assert "nothing on this node is going to roll it back" in first
    assert "run apply again" in first
    (directory / "change.1-unconfirmed").mkdir()
    (directory / "change.1-unconfirmed" / "run").touch()
    command = f"sh {directory}/change.1-unconfirmed/run rollback 1-unconfirmed"
    assert f'"{command}" does it' in pending.undecided(lambda _name: False)[0]


def test_a_change_whose_process_lives_is_going_to_be_rolled_back(directory: Path) -> None:
    start = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    (directory / "unconfirmed.1-unconfirmed").write_text(f"{os.getpid()} {start}")
    assert "the node rolls it back" in pending.undecided(lambda _name: False)[0]


def test_its_own_change_stays_pending(directory: Path) -> None:
    own = PendingChange(str(directory / "unconfirmed.1-unconfirmed"), "", 60)
    pending.confirm_earlier(own, whole_state=True)
    assert names(directory) == ["unconfirmed.1-unconfirmed"]


@pytest.mark.usefixtures("directory")
def test_a_removal_forgets_all_and_removes_the_directory() -> None:
    pending.forget_earlier()
    assert not pending.DIRECTORY.exists()
