# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the programs of iptables are looked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.iptables import programs
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import BUNDLED_PROGRAM_DIRECTORIES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all programs of the nft variant; none are in the usual places."""
    monkeypatch.setattr(programs, "PROGRAM_DIRECTORIES", ())
    monkeypatch.setattr(programs, "BUNDLED_PROGRAM_DIRECTORIES", ())
    monkeypatch.setattr(programs, "_recorded", {})
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    place = tmp_path / "bin"
    place.mkdir()
    for stem in ("iptables", "ip6tables"):
        for ending in ("", "-save", "-restore"):
            program = place / f"{stem}-nft{ending}"
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
    return place


def test_programs_of_the_path_of_a_run_are_noted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert programs.unusual_directories("nft") == ()
    monkeypatch.setenv("PATH", str(folder))
    assert programs.unusual_directories("nft") == (str(folder),)


def test_noted_directories_are_looked_in_if_they_belong_to_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "is_of_root", lambda _directory: False)
    programs.look_in([str(folder)])
    assert programs.find("nft", "ipv4", "save") == ()
    monkeypatch.setattr(programs, "is_of_root", lambda _directory: True)
    programs.look_in([str(folder)])
    assert programs.find("nft", "ipv4", "save") == (f"{folder}/iptables-nft-save",)


def test_folders_of_k3s_and_k0s_are_looked_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/var/lib/rancher/k3s/data/current/bin/aux" in BUNDLED_PROGRAM_DIRECTORIES
    assert "/var/lib/k0s/bin" in BUNDLED_PROGRAM_DIRECTORIES
    monkeypatch.setattr(programs, "BUNDLED_PROGRAM_DIRECTORIES", (str(folder),))
    assert programs.find("nft", "ipv6", "restore") == (f"{folder}/ip6tables-nft-restore",)
    assert programs.unusual_directories("nft") == (), "the service finds them by itself"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("spoil", ["owner", "mode", "missing"])
def test_a_directory_that_others_can_change_is_not_used(spoil: str, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir(mode=0o755)
    assert programs.is_of_root(str(place)), "pytest's folders are below a sticky one"
    if spoil == "owner":
        os.chown(place, 1000, 0)
    elif spoil == "mode":
        place.chmod(0o777)
    else:
        place.rmdir()
    assert not programs.is_of_root(str(place))
