# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test's sanity tests on a copy of this checkout; further arguments go to ``ansible-test sanity``.

ansible-test wants the collection at ansible_collections/homeward/metallb_routing and does not take a link for it.
The copy holds what git tracks or would track. Only Pythons that answer are on PATH: shims of version managers make
ansible-test fail. Each Python from the oldest that a node may have is used where it is there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = "ansible_collections/homeward/metallb_routing"
#: What only serves this repository; ansible-test has nothing to say about it.
LEFT_OUT = ("bench/", "demo/", "molecule/", "requirements/", "tests/", "tools/", ".")


def files() -> list[str]:
    """Return the paths of the collection's files, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    wanted = [name for name in listed if name and not name.startswith(LEFT_OUT)]
    return [name for name in wanted if (ROOT / name).is_file()]


def copy_collection(place: Path) -> None:
    """Copy those files to that folder."""
    for name in files():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def seed_pip_script() -> None:
    """Put tools/get_pip.py where ansible-test would store the script that it downloads, unless it has one."""
    package = importlib.util.find_spec("ansible_test")
    if package is None or package.origin is None:
        raise SystemExit("ansible_test is not installed beside this Python: make venv")
    requirements = Path(package.origin).parent / "_internal/python_requirements.py"
    version = re.search(r"\bpip='([0-9.]+)'", requirements.read_text(encoding="utf-8"))
    if version is None:
        raise SystemExit(f"{requirements} names no version of pip any more: tools/run_sanity.py has to follow it")
    cached = Path.home() / ".ansible/test/cache" / f"get_pip_{version[1].replace('.', '_')}.py"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "tools/get_pip.py", cached)


def path_of_real_pythons() -> str:
    """Return PATH without shims, and with each version of Python that pyenv may have here."""
    here = str(Path(sys.executable).parent)
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [folder for folder in folders if Path(folder).name != "shims" and folder != here]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return os.pathsep.join([here, *kept, *map(str, sorted(pyenv.glob("versions/3.*/bin")))])


def main() -> int:
    """Copy, seed, run; return the exit code of ansible-test."""
    seed_pip_script()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment["PATH"] = path_of_real_pythons()
    command = ["ansible-test", "sanity", "--color", "no", "--requirements", *sys.argv[1:]]
    # Not below the checkout: there, git would tell ansible-test that the copy is ignored.
    with tempfile.TemporaryDirectory(prefix="homeward-sanity-") as scratch:
        place = Path(scratch) / PLACE
        copy_collection(place)
        return subprocess.run(command, cwd=place, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
