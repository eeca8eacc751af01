# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for network managers, in their own formats, and warnings about other services."""

from __future__ import annotations

import configparser
from pathlib import PurePath

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import network_managers
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File

LINKS = ("eth0.200", "eth0.100")
NETWORKD, NETWORK_MANAGER, DHCPCD = "systemd-networkd.service", "NetworkManager.service", "dhcpcd.service"
NETWORKD_CONF = "/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
NETWORKD_LINKS = "/etc/systemd/network/00-00-homeward-metallb-routing.network"
NETWORK_MANAGER_CONF = "/etc/NetworkManager/conf.d/99-homeward-metallb-routing.conf"
DHCPCD_CONF = "/etc/dhcpcd.conf"


def sections(file: File) -> dict[str, dict[str, str]]:
    """Return what a file of the ini kind says."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] - its keys have capitals
    parser.read_string(file.content)
    return {name: dict(parser[name]) for name in parser.sections()}


def files(
    *services: str,
    links: tuple[str, ...] = LINKS,
    existing: tuple[str, ...] = (),
    read_only: str = "/nowhere",
    persistent: bool = True,
) -> dict[str, File]:
    found = network_managers.files_for(
        services, links, existing, lambda path: not path.startswith(read_only), persistent=persistent
    )
    return {file.path: file for file in found}


def test_without_a_network_manager_there_is_no_file() -> None:
    assert files("ssh.service", "kubelet.service", "networking.service") == {}


def test_networkd_ignores_foreign_routes_and_rules_and_managed_links() -> None:
    found = files(NETWORKD)
    assert sections(found[NETWORKD_CONF]) == {
        "Network": {"ManageForeignRoutes": "no", "ManageForeignRoutingPolicyRules": "no"}
    }
    assert sections(found[NETWORKD_LINKS]) == {
        "Match": {"Name": "eth0.100 eth0.200"},
        "Link": {"Unmanaged": "yes"},
    }
    assert len(found) == 2


@pytest.mark.parametrize("name", ["00-all.network", "05-default.network", "10-netplan-all.network", "eth.network"])
def test_the_file_for_networkd_comes_first(name: str) -> None:
    """systemd.network(5): files are sorted by name, whatever folder they are in, and the first that matches a link is used."""
    assert PurePath(NETWORKD_LINKS).name < name


@pytest.mark.parametrize("name", ["10-globally-managed-devices.conf", "90-admin.conf"])
def test_the_file_for_networkmanager_comes_last(name: str) -> None:
    """NetworkManager.conf(5): a later file overrides values of earlier ones."""
    assert PurePath(NETWORK_MANAGER_CONF).name > name


def test_networkd_gets_a_file_even_without_a_managed_link() -> None:
    assert list(files(NETWORKD, links=())) == [NETWORKD_CONF]


def test_networkmanager_ignores_managed_links() -> None:
    (file,) = files(NETWORK_MANAGER).values()
    assert file.path == NETWORK_MANAGER_CONF
    devices = "interface-name:eth0.100;interface-name:eth0.200"
    assert sections(file) == {
        # With + in front of =, the value is added to the administrator's.
        "keyfile": {"unmanaged-devices+": devices},
        "device-homeward-metallb-routing": {"match-device": devices, "managed": "0"},
    }
    assert files(NETWORK_MANAGER, links=()) == {}


def test_dhcpcd_ignores_managed_links() -> None:
    (file,) = files(DHCPCD).values()
    assert (file.path, file.content.splitlines()[1:]) == (DHCPCD_CONF, ["denyinterfaces eth0.100 eth0.200"])
    assert files(DHCPCD, links=()) == {}


def test_every_file_has_the_header_and_is_removed_with_the_rest() -> None:
    found = {**files(NETWORKD, NETWORK_MANAGER, DHCPCD), **files(NETWORKD, NETWORK_MANAGER, persistent=False)}
    former = {NETWORKD_LINKS.replace("00-00", "05"), NETWORK_MANAGER_CONF.replace("99", "50")}
    assert set(found) | former == set(network_managers.FILES)
    for file in found.values():
        assert file.content.startswith("# Managed by homeward.metallb_routing:")
        assert file.mode == 0o644


def test_files_of_a_stopped_manager_stay() -> None:
    """It may be started again before the next run, and takes every link then."""
    everything = files(NETWORKD, NETWORK_MANAGER, DHCPCD)
    assert files(existing=tuple(everything)) == everything


@pytest.mark.parametrize(
    ("read_only", "persistent"), [("/etc", True), ("/nowhere", False)], ids=["read-only /etc", "persist: false"]
)
def test_files_are_in_run_where_etc_must_not_be_written(read_only: str, persistent: bool) -> None:
    found = files(NETWORKD, NETWORK_MANAGER, read_only=read_only, persistent=persistent)
    assert {path.replace("/run/", "/etc/", 1) for path in found} == set(files(NETWORKD, NETWORK_MANAGER))
    assert all(path.startswith("/run/") for path in found)
    (warning,) = network_managers.volatile_files(found.values())
    assert all(path in warning for path in found)
    assert not list(network_managers.volatile_files(files(NETWORKD, NETWORK_MANAGER).values()))


def test_a_read_only_dhcpcd_conf_is_left_alone() -> None:
    assert files(DHCPCD, read_only="/etc") == {}


@pytest.mark.parametrize(
    ("service", "words"), [("firewalld", "firewalld"), ("ufw", "ufw"), ("nftables", "nftables.service")]
)
def test_a_warning_names_a_service_that_flushes(service: str, words: str) -> None:
    (warning,) = network_managers.warnings_for({f"{service}.service", "ssh.service"}, {})
    assert words in warning
    assert warning.endswith("the agent then adds the managed ones again.")


def test_there_is_no_warning_about_other_services() -> None:
    assert not list(network_managers.warnings_for({NETWORKD, NETWORK_MANAGER, "docker.service"}, {}))


def test_a_warning_names_what_ifupdown_creates_at_boot() -> None:
    (warning,) = network_managers.warnings_for((), {"eth0.100": "/etc/network/interfaces"})
    assert warning.startswith("/etc/network/interfaces has a section for eth0.100")
