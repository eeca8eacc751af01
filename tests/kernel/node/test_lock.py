# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a node: one holder at a time, only root can hold it, and no file remains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.lock import Busy, write_lock
from tests.support.locks import held
from tests.support.node import Node

LOCK = "/run/homeward.metallb_routing.lock"
NOBODY = 65534


@pytest.fixture(autouse=True)
def run_folder(node: Node) -> None:
    """Give /run the mode that it has on a real node."""
    node.host.run("chmod 0755 /run")


def attempt(wait: float = 0.1) -> str:
    """Take and release the lock; return the error, or ``""``."""
    try:
        with write_lock(wait):
            return ""
    except NodeError as error:
        return str(error)


def test_another_user_cannot_hold_it(node: Node) -> None:
    with held(node.host, "setpriv", f"--reuid={NOBODY}", "--clear-groups", "flock", "/run"):
        assert node.call(attempt) == ""


def test_another_user_can_neither_create_nor_open_it(node: Node) -> None:
    def as_nobody() -> list[str]:
        answers = []
        with write_lock():
            child = os.fork()
            if not child:
                os.setresuid(NOBODY, NOBODY, NOBODY)
                os._exit(0 if not os.access(LOCK, os.R_OK) and not os.access(LOCK, os.W_OK) else 1)
            answers.append(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return [*answers, attempt()]

    code, problem = node.call(as_nobody)
    assert code == "0"
    assert "Run as root" in problem


def test_a_held_lock_is_an_error_after_the_wait(node: Node) -> None:
    with held(node.host, "flock", LOCK):
        assert "Another run on this node has held the lock" in node.call(attempt)
    assert node.call(attempt) == ""


def test_no_lock_file_remains(node: Node) -> None:
    assert node.call(attempt) == ""
    assert not node.host.path(LOCK).exists()
    node.host.run(["touch", LOCK])  # of a run that was killed
    assert node.call(attempt) == ""
    assert not node.host.path(LOCK).exists()


def symlink(lock: Path, folder: Path) -> None:
    (folder / "precious").touch()
    lock.symlink_to(folder / "precious")


def foreign_file(lock: Path, _folder: Path) -> None:
    lock.touch()
    os.chown(lock, NOBODY, NOBODY)


def directory(lock: Path, _folder: Path) -> None:
    lock.mkdir()


@pytest.mark.parametrize("make", [symlink, foreign_file, directory], ids=lambda make: make.__name__)
def test_what_is_no_file_of_root_remains_unchanged(
    node: Node, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    def look() -> str:
        make(Path(LOCK), tmp_path)
        return attempt()

    assert f"{LOCK} is not a regular file of root" in node.call(look)
    assert os.path.lexists(node.host.path(LOCK))


def test_a_lock_that_others_can_read_gets_its_mode(node: Node) -> None:
    def look() -> int:
        Path(LOCK).touch()
        Path(LOCK).chmod(0o644)
        with write_lock():
            return Path(LOCK).stat().st_mode & 0o777

    assert node.call(look) == 0o600


def test_one_holder_at_a_time(node: Node) -> None:
    count = node.host.path("/run/.lab/count")
    count.write_text("0")

    def add() -> None:
        for _number in range(50):
            with write_lock():
                number = int(Path("/run/.lab/count").read_text())
                time.sleep(0)
                Path("/run/.lab/count").write_text(str(number + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _number: node.call(add), range(6)))
    assert count.read_text() == "300"
    count.unlink()


def test_a_killed_holder_frees_it(node: Node) -> None:
    def die() -> None:
        with write_lock():
            os._exit(1)

    with pytest.raises(AssertionError, match="died"):
        node.call(die)
    assert node.call(attempt) == ""


def test_busy_has_its_own_error(node: Node) -> None:
    """The agent then tries again, without a message."""

    def take_twice() -> None:
        with write_lock(), write_lock(0):
            pass

    with pytest.raises(Busy):
        node.call(take_twice)


# --- where no file can be created

CHANGES = "/run/homeward.metallb_routing"


@pytest.fixture
def read_only(node: Node) -> Iterator[None]:
    """There is a pending change, and /run is read-only."""
    node.host.run(f"mkdir -m 700 {CHANGES}; mount -o remount,ro /run")
    yield
    node.host.run("mount -o remount,rw /run")


@pytest.mark.usefixtures("read_only")
def test_the_directory_of_changes_is_the_lock_of_a_read_only_run(node: Node) -> None:
    assert node.call(attempt) == ""
    with held(node.host, "flock", CHANGES):
        assert "Another run on this node has held the lock" in node.call(attempt)
    node.host.run(f"mount -o remount,rw /run; rmdir {CHANGES}; mount -o remount,ro /run")
    assert node.call(attempt) == f"{LOCK}, the lock of this node, cannot be created: Read-only file system."


def test_whoever_has_the_directory_keeps_others_from_the_file(node: Node) -> None:
    """/run may be read-only no more."""
    node.host.run(f"mkdir -m 700 {CHANGES}")
    with held(node.host, "flock", CHANGES):
        assert "Another run on this node has held the lock" in node.call(attempt)
    assert node.call(attempt) == ""
    node.host.run(f"chmod 755 {CHANGES}")
    with held(node.host, "setpriv", f"--reuid={NOBODY}", "--clear-groups", "flock", CHANGES):
        assert node.call(attempt) == "", "another user holds it"
    node.host.run(f"rmdir {CHANGES}")


def test_a_file_that_is_held_counts_on_a_read_only_run(node: Node) -> None:
    node.host.run(f"mkdir -m 700 {CHANGES}; touch {LOCK}")
    with held(node.host, "flock", LOCK):
        node.host.run("mount -o remount,ro /run")
        assert "Another run on this node has held the lock" in node.call(attempt)
        node.host.run("mount -o remount,rw /run")
