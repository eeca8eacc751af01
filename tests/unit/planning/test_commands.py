# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands for files of network managers, run by a shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import (
    BLOCK_HEADER,
    DHCPCD_CONF,
    NETWORK_MANAGER_CONF,
    NETWORKD_LINKS,
    STATE_FILE,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.planning import commands
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File, Ownership
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.kinds import FILE
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step


def lines(before: File | None, after: File | None) -> list[str]:
    return commands.commands([Step(FILE.name, before, after)], Ownership(), {}, "nft")


@pytest.mark.parametrize(
    ("path", "reload"),
    [
        (NETWORKD_LINKS, ["networkctl reload"]),
        (NETWORK_MANAGER_CONF, ["nmcli general reload conf"]),
        (DHCPCD_CONF, ["dhcpcd --rebind homeward-none"]),
        (STATE_FILE, []),
    ],
)
def test_the_manager_is_told_last(path: str, reload: list[str]) -> None:
    file = File(path, "text\n")
    for found in (lines(None, file), lines(file, None)):
        assert found[len(found) - len(reload) :] == reload
        assert [line for line in found if line.split()[0] in ("networkctl", "nmcli", "dhcpcd")] == reload


@pytest.mark.parametrize("rest", ["duid\ninterface eth1\n", "# 'a' \"b\" $c\n"])
def test_the_rest_of_a_shared_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    path = tmp_path / "dhcpcd.conf"
    monkeypatch.setattr(commands, "SHARED_FILES", {str(path)})
    path.write_text(rest)
    one, other = (File(str(path), f"{BLOCK_HEADER}denyinterfaces {name}\n") for name in ("eth0.1", "eth0.2"))
    for before, after in ((None, one), (one, other), (other, None)):
        for line in lines(before, after):
            subprocess.run(["/bin/sh", "-ec", line], check=True)
        assert path.read_text() == (after.content if after else "") + rest
