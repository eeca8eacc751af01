# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the playbooks with several versions of ansible-core on the controller and of Python on the nodes.

``python tools/matrix.py [VERSION ...] [-- PYTEST ARGUMENT ...]``, as root. Each version is installed in a virtual
environment of its own, below .build/matrix. Prints a table; fails if a version fails or if no Python for it is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".build" / "matrix"
PYROUTE2 = "pyroute2==0.9.7"
TESTS = ("tests/kernel/playbooks/test_versions.py",)


@dataclass(frozen=True)
class Version:
    """A version of ansible-core.

    :param controller: minor versions of Python 3 that it supports on the controller, the preferred one first.
    :param node: minor version of Python 3 on the nodes.
    """

    name: str
    controller: Sequence[int]
    node: int


VERSIONS = (
    Version("2.16", (11, 12, 10), 9),
    Version("2.17", (12, 11, 10), 11),
    Version("2.18", (12, 13, 11), 11),
    Version("2.19", (12, 13, 11), 13),
    Version("2.20", (13, 12, 14), 9),
    Version("2.21", (13, 14, 12), 13),
)


def main(arguments: Sequence[str]) -> int:
    """Run the tests for the given versions, by default for all."""
    names, options = list(arguments), []
    if "--" in names:
        names, options = names[: names.index("--")], names[names.index("--") + 1 :]
    unknown = set(names) - {version.name for version in VERSIONS}
    if unknown:
        raise SystemExit(f"unknown version: {', '.join(sorted(unknown))}")
    rows = [row(version, options) for version in VERSIONS if not names or version.name in names]
    print(f"\n{'ansible-core':<14}{'controller':<12}{'nodes':<12}{'result':<10}seconds")
    for cells in rows:
        print("{:<14}{:<12}{:<12}{:<10}{}".format(*cells))
    return any(cells[3] != "passed" for cells in rows)


def row(version: Version, options: Sequence[str]) -> tuple[str, str, str, str, str]:
    """Run the tests for one version; return its row of the table."""
    python = next((found for minor in version.controller for found in pythons(minor)), "")
    node = next(iter(pythons(version.node)), "") or "/usr/bin/python3"
    if not python:
        return version.name, "-", "-", "no Python", "0"
    programs = install(version.name, python)
    began = time.monotonic()
    print(f"\n== ansible-core {version.name}", flush=True)
    environment = {**os.environ, "HOMEWARD_ANSIBLE": str(programs), "HOMEWARD_NODE_PYTHON": node}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *TESTS, *options], cwd=ROOT, check=False, env=environment
    )
    result = "passed" if done.returncode == 0 else "FAILED"
    installed = ask(programs / "ansible", "--version").split("]")[0].split()[-1]
    return installed, number(python), number(node), result, f"{time.monotonic() - began:.0f}"


def install(version: str, python: str) -> Path:
    """Create the virtual environment of a version unless it exists; return the folder of its programs."""
    folder = FOLDER / version
    programs = folder / "bin"
    if not (programs / "ansible-playbook").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"ansible-core~={version}.0", PYROUTE2], check=True)
    return programs


def pythons(minor: int) -> Iterator[str]:
    """Yield installed interpreters of Python 3 that can create a virtual environment, in PATH and among pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python3.{minor}"), *map(str, sorted(root.glob(f"versions/3.{minor}.*/bin/python3")))]
    for candidate in candidates:
        if candidate and number(candidate).startswith(f"3.{minor}."):
            yield candidate


def number(python: str) -> str:
    """Return the version of an interpreter, ``""`` if it does not run."""
    return ask(python, "-c", "import ensurepip, platform, ssl; print(platform.python_version())").strip()


def ask(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
