# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What network managers say about links: from their files, and from programs in their place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel import network_managers, systemd
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.managers import RELOADS

NETWORKD, NETWORK_MANAGER, DHCPCD = "systemd-networkd.service", "NetworkManager.service", "dhcpcd.service"
#: Of systemd 252.
CONFIGURED = (
    "# This is private data. Do not parse.\nADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/90-all.network\n"
)
UNMANAGED = "# This is private data. Do not parse.\nADMIN_STATE=unmanaged\nOPER_STATE=off\n"


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put files and programs in the place of the node's."""
    monkeypatch.setattr(systemd, "in_namespace_of_systemd", lambda: True)
    monkeypatch.setattr(network_managers, "NETWORKD_STATES", str(tmp_path / "links"))
    monkeypatch.setattr(network_managers, "DHCPCD_CONF", str(tmp_path / "dhcpcd.conf"))
    monkeypatch.setattr(network_managers, "IFUPDOWN_CONF", str(tmp_path / "interfaces"))
    monkeypatch.setattr(network_managers, "IFUPDOWN_CONFS", str(tmp_path / "interfaces.d"))
    monkeypatch.setattr(network_managers, "SETTLE_TIMEOUT", 0.0)
    monkeypatch.setattr(network_managers, "NETWORK_MANAGER_SETTLES", 0.0)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for folder in ("links", "bin", "interfaces.d"):
        (tmp_path / folder).mkdir()


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_networkd_names_the_file_by_which_it_configures_a_link(tmp_path: Path) -> None:
    (tmp_path / "links" / "1").write_text(CONFIGURED)
    answers = network_managers.ask(["lo"], {NETWORKD})
    assert not answers.problems
    assert "/etc/systemd/network/90-all.network" in answers.managed["lo"].reason
    assert "networkctl reload needs D-Bus" in answers.managed["lo"].remedy
    assert network_managers.managed_by_networkd(["lo"], {NETWORKD}) == answers.managed
    assert network_managers.managed_by_networkd(["lo"], {"ssh.service"}) == {}


def test_networkd_names_what_excludes_a_link_from_a_file_that_comes_first(tmp_path: Path) -> None:
    (tmp_path / "links" / "1").write_text(CONFIGURED.replace("90-all", "00-00-a"))
    (one,) = network_managers.ask(["lo"], {NETWORKD}).managed.values()
    assert "Name=!lo" in one.remedy


def test_networkd_leaves_an_unmanaged_link_alone(tmp_path: Path) -> None:
    (tmp_path / "links" / "1").write_text(UNMANAGED)
    assert network_managers.ask(["lo"], {NETWORKD}) == network_managers.Answers()
    assert network_managers.managed_by_networkd(["lo"], {NETWORKD}) == {}


@pytest.mark.parametrize("text", [None, "", "ADMIN_STATE=pending\n", "ADMIN_STATE=initialized\n"])
def test_networkd_that_does_not_decide_is_a_problem(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "links" / "1").write_text(text)
    answers = network_managers.ask(["lo"], {NETWORKD})
    assert not answers.managed
    assert answers.problems[0].startswith(f"{NETWORKD} cannot be asked whether it manages lo: it has not decided")
    assert network_managers.managed_by_networkd(["lo"], {NETWORKD}) == {}


def test_networkd_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes the file of a new link a moment after the link exists."""
    monkeypatch.setattr(network_managers, "SETTLE_TIMEOUT", 600.0)
    states = ["ADMIN_STATE=pending\n", "ADMIN_STATE=initialized\n", "ADMIN_STATE=configuring\n"]

    def next_state(_seconds: float) -> None:
        (tmp_path / "links" / "1").write_text(states.pop(0))

    monkeypatch.setattr(time, "sleep", next_state)
    answers = network_managers.ask(["lo"], {NETWORKD})
    assert "configuring" in answers.managed["lo"].reason


def test_networkmanager_names_the_state(tmp_path: Path) -> None:
    program(tmp_path, "nmcli", "printf 'eth0:connected\\neth0.100:unmanaged\\neth0.200:disconnected\\n'")
    answers = network_managers.ask(["eth0.100", "eth0.200"], {NETWORK_MANAGER})
    assert list(answers.managed) == ["eth0.200"]
    assert "disconnected" in answers.managed["eth0.200"].reason


@pytest.mark.parametrize("text", [None, "echo NetworkManager is not running. >&2; exit 8"])
def test_networkmanager_that_does_not_answer_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        program(tmp_path, "nmcli", text)
    answers = network_managers.ask(["eth0.100"], {NETWORK_MANAGER})
    assert not answers.managed
    assert ("No such file" if text is None else "is not running") in answers.problems[0]


@pytest.mark.parametrize(
    ("text", "managed"),
    [
        ("", True),
        ("denyinterfaces eth0.100\n", False),
        ("denyinterfaces eth0 eth0.1*\n", False),
        ("denyinterfaces eth0\n", True),
        ("#denyinterfaces eth0.100\n", True),
        ("allowinterfaces eth0\n", False),
        ("allowinterfaces eth*\n", True),
        ("interface eth1\ndenyinterfaces eth0.100\n", True),
    ],
)
def test_dhcpcd_manages_what_its_file_does_not_exclude(tmp_path: Path, text: str, managed: bool) -> None:
    (tmp_path / "dhcpcd.conf").write_text(text)
    answers = network_managers.ask(["eth0.100"], {DHCPCD})
    assert list(answers.managed) == (["eth0.100"] if managed else [])


def test_dhcpcd_without_a_file_manages_every_link() -> None:
    assert list(network_managers.ask(["eth0.100"], {DHCPCD}).managed) == ["eth0.100"]


def test_nobody_is_asked_without_a_link_or_a_manager_or_in_another_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = {NETWORKD, NETWORK_MANAGER, DHCPCD}
    assert network_managers.ask([], everybody) == network_managers.Answers()
    assert network_managers.ask(["lo"], {"ssh.service"}) == network_managers.Answers()
    monkeypatch.setattr(systemd, "in_namespace_of_systemd", lambda: False)
    assert network_managers.ask(["lo"], everybody) == network_managers.Answers()


def test_a_running_manager_is_told_about_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("networkctl", "nmcli", "dhcpcd"):
        program(tmp_path, name, f'echo {name} "$@" >> {tmp_path}/told')
    running = {NETWORKD, NETWORK_MANAGER}
    monkeypatch.setattr(systemd, "active", lambda: frozenset(running))
    told = tmp_path / "told"
    network_managers.tell(["/etc/iproute2/rt_protos.d/homeward.conf"])
    network_managers.tell(RELOADS[DHCPCD].files)
    assert not told.exists()
    network_managers.tell(RELOADS[NETWORKD].files)
    assert told.read_text() == "networkctl reload\n"
    network_managers.tell(RELOADS[NETWORK_MANAGER].files)
    assert told.read_text().splitlines()[1:] == ["nmcli general reload conf"]
    running.add(DHCPCD)
    network_managers.tell(RELOADS[DHCPCD].files)
    assert told.read_text().splitlines()[2:] == ["dhcpcd --rebind homeward-none"]


def test_a_manager_that_cannot_be_told_does_not_fail_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it matters is found out afterwards, by asking about the links."""
    program(tmp_path, "networkctl", "exit 1")
    monkeypatch.setattr(systemd, "active", lambda: frozenset({NETWORKD}))
    network_managers.tell(RELOADS[NETWORKD].files)


def test_links_of_ifupdown_are_found_in_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "interfaces").write_text(
        "source interfaces.d/*\nauto eth0\niface eth0 inet dhcp\n# iface eth0.300 inet dhcp\n"
    )
    (tmp_path / "interfaces.d" / "pool").write_text("iface eth0.100 inet manual\n")
    links = ["eth0.100", "eth0.200", "eth0.300"]
    found = network_managers.made_by_ifupdown(links, {"networking.service"})
    assert found == {"eth0.100": str(tmp_path / "interfaces.d" / "pool")}
    assert network_managers.made_by_ifupdown(links, {"ssh.service"}) == {}
