# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python that is too old is refused with a sentence."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

PREFIX = "ansible_collections.homeward.metallb_routing.plugins.module_utils."
MODULES = sorted(path for path in (ROOT / "plugins/modules").glob("*.py") if f"from {PREFIX}" in path.read_text())
#: The packages down to module_utils are empty where Ansible runs a module.
PROGRAM = """
import sys, types
for name, path in (
    ("ansible_collections", None), ("ansible_collections.homeward", None),
    ("ansible_collections.homeward.metallb_routing", None), ("ansible_collections.homeward.metallb_routing.plugins", None),
    ("ansible_collections.homeward.metallb_routing.plugins.module_utils", {folder!r}),
):
    module = types.ModuleType(name)
    module.__path__ = [path] if path else []
    sys.modules[name] = module
try:
    import {name}
except ImportError as error:
    print(error)
"""


def first_import(module: Path) -> str:
    """Return the first file of the collection that a module imports."""
    names = (
        node.module for node in ast.parse(module.read_text()).body if isinstance(node, ast.ImportFrom) and node.module
    )
    return next(name for name in names if name.startswith(PREFIX))


def find_python(version: str) -> str:
    """Return a Python of this version, in PATH or among pyenv's, ``""`` if there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [shutil.which(f"python{version}") or "", *map(str, versions.glob(f"{version}.*/bin/python{version}"))]
    runs = (one for one in candidates if one and not subprocess.run([one, "-c", ""], capture_output=True).returncode)  # noqa: PLW1510
    return next(runs, "")


@pytest.mark.parametrize("version", ["3.7", "3.8"])
@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_first_import_of_each_module_explains_it(module: Path, version: str) -> None:
    python = find_python(version)
    if not python:
        pytest.skip(f"this machine has no Python {version}")
    program = PROGRAM.format(folder=str(ROOT / "plugins/module_utils"), name=first_import(module))
    shown = subprocess.run([python, "-B", "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"This node's Python is {version}." in shown
    assert "homeward.metallb_routing needs 3.9 or newer" in shown
