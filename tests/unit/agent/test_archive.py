# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive on the node contains the code that Ansible sends with pool_routing, and the agent runs from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import archive as code
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import RUNTIME
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File
from tests.support.playbooks import environment

#: In a process of its own: what is the controller's must not be imported where modules are tested.
SENT = """
import datetime, io, json, os, zipfile
from ansible.executor import module_common
from ansible.plugins.loader import init_plugin_loader, module_loader
init_plugin_loader([os.environ["ANSIBLE_COLLECTIONS_PATH"]])
from ansible_collections.homeward.metallb_routing.plugins.module_utils.agent import archive as code
found = module_loader.find_plugin_with_context("homeward.metallb_routing.pool_routing")
sent = zipfile.ZipFile(io.BytesIO(), "w")
with open(found.plugin_resolved_path, "rb") as source:
    name = "ansible_collections.homeward.metallb_routing.plugins.modules.pool_routing"
    now, extensions = datetime.datetime.now(), module_common._builder.ExtensionManager()
    module_common.recursive_finder("pool_routing", name, source.read(), sent, now, extensions)
print(json.dumps({"version": code.version(), "sent": sent.namelist()}))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The archive as a file."""
    path = tmp_path / "runtime.zip"
    path.write_bytes(code.make().content.encode("utf-8", "surrogateescape"))
    return path


def names(archive: Path) -> set[str]:
    return set(zipfile.ZipFile(archive).namelist())


def test_the_archive_contains_what_ansible_sends_with_the_module(archive: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", SENT], check=True, capture_output=True, text=True, env=environment()
    ).stdout
    seen = json.loads(answer)
    folder = f"{code.ROOT.replace('.', '/')}/"
    assert {name for name in seen["sent"] if name.startswith(folder)} == {
        name for name in names(archive) if name.startswith(folder) and name.endswith(".py")
    }
    assert seen["version"] == code.version(), "the controller and a node compute different versions"


def test_a_change_of_any_file_changes_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = dict(code.sources())
    version = code.version()
    code.version.cache_clear()
    monkeypatch.setattr(code, "sources", lambda: {**sources, f"{code.ROOT.replace('.', '/')}/paths.py": b"changed"})
    assert code.version() != version
    code.version.cache_clear()


def test_the_command_runs_from_the_archive_with_the_standard_library_alone(archive: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); from {code.ROOT}.agent.cli import main; main()"
    command = [sys.executable, "-I", "-S", "-c", program, "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=archive.parent).stdout
    assert "{status,restore,remove,agent" in shown


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="without bytecode: marshal is not reproducible before Python 3.11"
)
def test_the_archive_is_the_same_in_every_process_and_runs_from_its_bytecode(archive: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(archive)!r})
import {code.ROOT}.engine as engine, {code.ROOT}.agent.archive as code
print(engine.__cached__ or engine.__file__, code.make().content.rpartition("sources ")[2])
"""
    command, environment = [sys.executable, "-c", program], {**os.environ, "PYTHONHASHSEED": "7"}
    shown = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=archive.parent, env=environment
    ).stdout
    file, _, made = shown.partition(" ")
    assert file == f"{archive}/{code.ROOT.replace('.', '/')}/engine.pyc"
    assert made.strip() == archive.read_bytes().rpartition(b"sources ")[2].decode(), (
        "the checksum of all bytes is the same"
    )


def test_another_version_of_python_falls_back_to_the_sources(archive: Path) -> None:
    with zipfile.ZipFile(archive) as made, zipfile.ZipFile(archive.with_name("other.zip"), "w") as other:
        for name in made.namelist():
            content = made.read(name)
            other.writestr(name, b"\0\0\r\n" + content[4:] if name.endswith("c") else content)
    program = f"import sys; sys.path.insert(0, 'other.zip'); import {code.ROOT}.paths as paths; print(paths.__file__)"
    command = [sys.executable, "-I", "-c", program]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=archive.parent).stdout
    assert shown.strip().endswith("paths.py")


def test_an_archive_of_this_version_is_kept_and_any_other_is_replaced() -> None:
    made = code.make()
    kept = replace(made, content=made.content)
    assert code.kept_or_made([File("/elsewhere", made.content), kept]) is kept
    for content in ("", made.content[:-1], made.content.replace("sources ", "sources 0"), f"x{made.content}"):
        assert code.kept_or_made([File(RUNTIME, content)]) == made
