# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that the command runs: found at each start, recent, and replaceable by root only."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import PYTHONS
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import launcher

PROGRAM = "import sys\nprint(sys.executable, sys.flags.isolated, *sys.argv[1:])\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that only root can change, as those above it."""
    place = Path(mkdtemp(prefix="homeward-launcher-", dir="/opt"))
    place.chmod(0o755)
    (place / "program.py").write_text(PROGRAM)
    yield place
    shutil.rmtree(place)


def python(folder: Path, name: str, version: str = "sys.version_info[:2]") -> Path:
    """Create what answers as a Python of this version and runs what it is given with a real one."""
    path = folder / name
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(
        f"""#!/bin/sh
case $* in *version_info*) exec python3 -c 'import sys; sys.exit({version} < (3, 9))' ;; esac
shift 3
echo {name} "$@"
"""
    )
    path.chmod(0o755)
    return path


def run(folder: Path, recorded: Path, *places: Path, words: tuple[str, ...] = ("status",)) -> str:
    """Run the script with these Pythons, the recorded one first; return what it prints, ``""`` if it finds none."""
    script = launcher._TEXT.format(  # noqa: SLF001 - the places are the machine's own otherwise
        header="",
        recorded=recorded,
        homes=launcher.HOMES,
        places=" ".join(map(str, places)),
        only_find=launcher._ONLY_FIND,  # noqa: SLF001
        program=folder / "program.py",
        not_found=launcher.NOT_FOUND,
    )
    done = subprocess.run(["/bin/sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False)
    assert done.returncode in (0, launcher.NOT_FOUND), done.stderr
    assert ("Install the package python3" in done.stderr) == bool(done.returncode), done.stderr
    return done.stdout.replace(f"{folder}/program.py", "").strip()


def test_the_recorded_python_is_used(folder: Path) -> None:
    assert run(folder, python(folder, "python3.11"), python(folder, "python3.12")) == "python3.11  status"


def test_a_python_that_was_removed_is_replaced_by_another(folder: Path) -> None:
    assert run(folder, folder / "python3.11", python(folder, "python3.12")) == "python3.12  status"


def test_arguments_reach_the_program_as_they_are(folder: Path) -> None:
    words = ("agent", "--version", "a b", "*")
    assert run(folder, python(folder, "python3.11"), words=words) == "python3.11  agent --version a b *"


@pytest.mark.parametrize("version", ["(3, 8)", "(3, 6)", "(2, 7)"])
def test_an_old_python_is_passed_over(folder: Path, version: str) -> None:
    old = python(folder, "python3", version)
    assert run(folder, old) == ""
    assert run(folder, old, python(folder, "python3.9")) == "python3.9  status"


def test_a_link_is_followed(folder: Path) -> None:
    python(folder, "bin/python3.10")
    link = folder / "python3"
    link.symlink_to("bin/python3.10")
    assert run(folder, link) == "bin/python3.10  status"


@pytest.mark.parametrize("what", ["python", "folder", "target of a link"])
@pytest.mark.parametrize("way", ["owner", "group", "others"])
def test_a_python_that_somebody_else_can_replace_is_passed_over(folder: Path, what: str, way: str) -> None:
    path = python(folder, "bin/python3.11")
    candidate = path
    if what == "target of a link":
        candidate = folder / "python3"
        candidate.symlink_to(path)
    spoiled = path.parent if what == "folder" else path
    if way == "owner":
        os.chown(spoiled, 1000, 0)
    else:
        os.chown(spoiled, 0, 1000)
        spoiled.chmod(0o775 if way == "group" else 0o757)
    assert run(folder, candidate) == ""
    assert run(folder, candidate, python(folder, "python3.12")) == "python3.12  status"


def test_a_sticky_folder_is_trusted(folder: Path) -> None:
    """As that of the Nix store: others cannot replace what root has in it."""
    path = python(folder, "store/python3.11")
    os.chown(path.parent, 0, 1000)
    path.parent.chmod(0o1775)
    assert run(folder, path) == "store/python3.11  status"


def test_the_python_of_this_machine_is_found() -> None:
    text = launcher.text("/nonexistent")
    done = subprocess.run(["/bin/sh", "-c", text, "sh", "--find-python"], capture_output=True, text=True, check=True)
    found = Path(done.stdout.strip())
    assert found.is_file()
    for place in (found, *found.parents):
        status = place.stat()
        assert status.st_uid == 0, place
        assert not status.st_mode & stat.S_IWOTH, place
    launcher.require_python(text)


def test_a_node_without_one_is_refused(folder: Path) -> None:
    text = launcher.text("/nonexistent").replace(PYTHONS, str(folder / "python3"))
    recorded = os.path.realpath(sys.executable)
    with pytest.raises(NodeError, match="that root owns together with every folder") as refused:
        launcher.require_python(text.replace(recorded, str(folder / "python3.11")))
    assert "persist: false" in str(refused.value)
