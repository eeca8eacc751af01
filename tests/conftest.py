# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the collection importable from this checkout, and sets a marker for each test by its folder."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Examples have no deadline, because the machine may be busy.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = "ansible_collections.homeward.metallb_routing"

#: Markers by folder below tests/, so that no test lacks its marker.
MARKER_OF_FOLDER = {"unit": pytest.mark.unit, "kernel": pytest.mark.kernel, "lab": pytest.mark.lab}
NEEDS_ROOT = frozenset({"kernel", "lab"})
_FILES = pytest.StashKey[dict[str, tuple[int, ...]]]()


def register_collection() -> None:
    """Make ``ansible_collections.homeward.metallb_routing`` importable from this checkout, without symbolic links."""
    parent: types.ModuleType | None = None
    parts = COLLECTION.split(".")
    for depth, part in enumerate(parts, start=1):
        name = ".".join(parts[:depth])
        module = sys.modules.get(name)
        if module is None:
            module = types.ModuleType(name)
            module.__path__ = []
            sys.modules[name] = module
        if parent is not None:
            setattr(parent, part, module)
        parent = module
    sys.modules[COLLECTION].__path__ = [str(ROOT)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a test during which a file of the machine changes: nodes have an /etc of their own."""
    yield
    if NEEDS_ROOT.isdisjoint(item.path.relative_to(ROOT / "tests").parts[:1]):
        return
    now = _files_of_machine()
    before, item.config.stash[_FILES] = item.config.stash[_FILES], now
    changed = sorted(path for path in now if now[path] != before[path])
    assert not changed, f"this test, or another process, changed files of the machine: {', '.join(changed)}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Note the files of the machine that the collection would manage on a node."""
    session.config.stash[_FILES] = _files_of_machine()


def _files_of_machine() -> dict[str, tuple[int, ...]]:
    from ansible_collections.homeward.metallb_routing.plugins.module_utils import paths  # noqa: PLC0415 - see the end
    from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import (  # noqa: PLC0415
        deploy,
    )

    names = {paths.PROTOCOL_FILE, *deploy.MANAGED_FILES, f"{paths.SYSTEMD_WANTS}/{paths.UNIT_NAME}"}
    return {name: _identity(Path(name)) for name in names}


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes if the file is written or replaced; nothing without the file."""
    try:
        status = path.lstat()
    except OSError:
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder; skip tests that need root if the user is not root."""
    is_root = os.geteuid() == 0
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in MARKER_OF_FOLDER:
            item.add_marker(MARKER_OF_FOLDER[folder])
        if folder in NEEDS_ROOT and not is_root:
            item.add_marker(pytest.mark.skip(reason="needs root (network namespaces)"))


if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
register_collection()
