# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ``ansible-test sanity`` on a copy of this checkout; arguments are passed on.

ansible-test needs the collection in a real folder ansible_collections/homeward/metallb_routing, not behind a symbolic
link. The copy holds the files that git tracks or would track. ansible-test runs with every installed Python that it
supports; shims of version managers make it fail and are removed from PATH.
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
COLLECTION_FOLDER = "ansible_collections/homeward/metallb_routing"
#: Folders that only serve this repository.
EXCLUDED = ("bench/", "demo/", "molecule/", "requirements/", "tests/", "tools/", ".")


def files() -> list[str]:
    """Return the paths of the collection's files, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in listed if name and not name.startswith(EXCLUDED) and (ROOT / name).is_file()]


def copy_collection(folder: Path) -> None:
    """Copy the collection's files to this folder."""
    for name in files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def seed_pip_script() -> None:
    """Put tools/get_pip.py into ansible-test's cache, where it looks before it downloads a script of its own."""
    package = importlib.util.find_spec("ansible_test")
    if package is None or package.origin is None:
        raise SystemExit("ansible_test is not installed for this Python; run: make venv")
    requirements = Path(package.origin).parent / "_internal/python_requirements.py"
    version = re.search(r"\bpip='([0-9.]+)'", requirements.read_text(encoding="utf-8"))
    if version is None:
        raise SystemExit(f"{requirements} no longer names a version of pip: adapt tools/run_sanity.py")
    cached = Path.home() / ".ansible/test/cache" / f"get_pip_{version[1].replace('.', '_')}.py"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "tools/get_pip.py", cached)


def path_of_real_pythons() -> str:
    """Return PATH without shims and with every Python that pyenv has installed."""
    here = str(Path(sys.executable).parent)
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [folder for folder in folders if Path(folder).name != "shims" and folder != here]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return os.pathsep.join([here, *kept, *map(str, sorted(pyenv.glob("versions/3.*/bin")))])


def main() -> int:
    """Copy the collection and run ansible-test on it; return its exit status."""
    seed_pip_script()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment["PATH"] = path_of_real_pythons()
    command = ["ansible-test", "sanity", "--color", "no", "--requirements", *sys.argv[1:]]
    # Not below the checkout, where git ignores the copy and ansible-test would skip its files.
    with tempfile.TemporaryDirectory(prefix="homeward-sanity-") as scratch:
        folder = Path(scratch) / COLLECTION_FOLDER
        copy_collection(folder)
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
