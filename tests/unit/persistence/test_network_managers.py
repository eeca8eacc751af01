# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for systemd-networkd and NetworkManager, in their own formats, and warnings about other services."""

from __future__ import annotations

import configparser

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import network_managers
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File, Link

LINKS = (Link("eth0.200", "vlan", "eth0", 200), Link("eth0.100", "vlan", "eth0", 100))
NETWORKD, NETWORK_MANAGER = "systemd-networkd.service", "NetworkManager.service"


def sections(file: File) -> dict[str, dict[str, str]]:
    """Return what a file of the ini kind says."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] - its keys have capitals
    parser.read_string(file.content)
    return {name: dict(parser[name]) for name in parser.sections()}


def files(*services: str, links: tuple[Link, ...] = LINKS) -> dict[str, File]:
    return {file.path: file for file in network_managers.files_for(services, links)}


def test_without_a_network_manager_there_is_no_file() -> None:
    assert files("ssh.service", "kubelet.service") == {}


def test_networkd_ignores_foreign_routes_and_rules_and_managed_links() -> None:
    found = files(NETWORKD)
    assert sections(found["/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"]) == {
        "Network": {"ManageForeignRoutes": "no", "ManageForeignRoutingPolicyRules": "no"}
    }
    assert sections(found["/etc/systemd/network/05-homeward-metallb-routing.network"]) == {
        "Match": {"Name": "eth0.100 eth0.200"},
        "Link": {"Unmanaged": "yes"},
    }
    assert len(found) == 2


def test_networkd_gets_a_file_even_without_a_managed_link() -> None:
    assert list(files(NETWORKD, links=())) == ["/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"]


def test_networkmanager_ignores_managed_links() -> None:
    (file,) = files(NETWORK_MANAGER).values()
    assert file.path == "/etc/NetworkManager/conf.d/50-homeward-metallb-routing.conf"
    ((name, section),) = sections(file).items()
    assert name.startswith("device-"), "NetworkManager.conf(5): a section with this prefix adds to other sections"
    assert section == {"match-device": "interface-name:eth0.100,interface-name:eth0.200", "managed": "0"}
    assert files(NETWORK_MANAGER, links=()) == {}


def test_every_file_has_the_header_and_is_removed_with_the_rest() -> None:
    found = files(NETWORKD, NETWORK_MANAGER)
    assert set(found) == set(network_managers.FILES)
    for file in found.values():
        assert file.content.startswith("# Managed by homeward.metallb_routing:")
        assert file.mode == 0o644


@pytest.mark.parametrize(
    ("service", "words"), [("firewalld", "firewalld"), ("ufw", "ufw"), ("nftables", "nftables.service")]
)
def test_a_warning_names_a_service_that_flushes(service: str, words: str) -> None:
    (warning,) = network_managers.warnings_for({f"{service}.service", "ssh.service"})
    assert words in warning
    assert warning.endswith("the agent then adds the managed ones again.")


def test_there_is_no_warning_about_other_services() -> None:
    assert network_managers.warnings_for({NETWORKD, NETWORK_MANAGER, "docker.service"}) == ()
