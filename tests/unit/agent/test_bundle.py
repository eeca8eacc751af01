# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive from which the agent runs contains the layers that it needs, and no others."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import bundle
from tests.unit.test_repository import MAY_IMPORT


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The archive as a file."""
    path = tmp_path / "runtime.zip"
    path.write_bytes(bundle.archive().content.encode("utf-8", "surrogateescape"))
    return path


def test_the_archive_has_the_layers_that_the_agent_may_import_and_no_others(archive: Path) -> None:
    root = f"{bundle.ROOT.replace('.', '/')}/"
    names = [name.removeprefix(root) for name in zipfile.ZipFile(archive).namelist() if name.startswith(root)]
    layers = {name.partition("/")[0].removesuffix(".py") for name in names}
    assert layers == {"__init__", "agent", *MAY_IMPORT["agent"]}


def test_the_command_runs_from_the_archive_with_the_standard_library_alone(archive: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); from {bundle.ROOT}.agent.cli import main; main()"
    command = [sys.executable, "-I", "-S", "-c", program, "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=archive.parent).stdout
    assert "{status,restore,remove,agent" in shown
