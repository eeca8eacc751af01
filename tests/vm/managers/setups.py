# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes whose network manager takes every new link: its packages, files, and how to ask and restart it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tests.vm.node.image import CATCH_ALL, MANAGEMENT_MAC, NETWORKS, TRUNK_MAC, Contents

_WANTS = "etc/systemd/system/multi-user.target.wants"


_UNITS = (
    *("systemd-networkd.service", "systemd-networkd.socket", "NetworkManager.service", "networking.service"),
    "dhcpcd.service",
)


def _enabled(*units: str) -> dict[str, str]:
    """Return the files that enable these units and mask the others, which the first boot would enable (preset-all)."""
    masked = {f"etc/systemd/system/{unit}": "->/dev/null" for unit in _UNITS if unit not in units}
    return {**masked, **{f"{_WANTS}/{unit}": f"->/lib/systemd/system/{unit}" for unit in units}}


_NETPLAN = {
    "network": {
        "version": 2,
        "renderer": "networkd",
        "ethernets": {
            "management": {"match": {"macaddress": MANAGEMENT_MAC}, "addresses": ["10.0.2.15/24"]},
            "trunk": {
                "match": {"macaddress": TRUNK_MAC},
                "addresses": ["192.168.1.11/24", "fd00:192:168:1::11/64"],
                "routes": [{"to": "0.0.0.0/0", "via": "192.168.1.1"}, {"to": "::/0", "via": "fd00:192:168:1::1"}],
                "accept-ra": False,
            },
            "zz-all": {"match": {"name": "eth*"}, "dhcp4": True, "dhcp6": True, "optional": True},
        },
    }
}
_PROFILE = """\
[connection]
id={name}
type=ethernet
interface-name={link}

[ipv4]
method=manual
{ipv4}

[ipv6]
{ipv6}
"""
_INTERFACES = """\
auto lo eth0
iface lo inet loopback
iface eth0 inet static
    address 10.0.2.15/24
"""
_DHCPCD = """\
# For every link except the management link, which ifupdown configures
denyinterfaces eth0
noarp
interface eth1
static ip_address=192.168.1.11/24
static ip6_address=fd00:192:168:1::11/64
static routers=192.168.1.1
noipv6rs
"""


_HAS_LEASE = "ip -4 address show dev {link} | grep -qF 100.64."


@dataclass(frozen=True)
class Setup:
    """A node with one network manager.

    :param files: by path, see :class:`Contents`.
    :param reload: shell command that has the manager read its files again.
    :param restart: shell command that restarts it.
    :param prepare: shell command after which it takes every new link.
    :param taken: shell condition, whether it manages the link.
    :param excludes: shell command that removes what the collection has written.
    """

    files: Mapping[str, str]
    reload: str
    restart: str
    excludes: str
    prepare: str = "true"
    taken: str = _HAS_LEASE


_NETWORKD_FILE = "/etc/systemd/network/00-00-homeward-metallb-routing.network"
_NETWORK_MANAGER_FILE = "/etc/NetworkManager/conf.d/99-homeward-metallb-routing.conf"
SETUPS = {
    "networkd": Setup(
        {
            **NETWORKS,
            **CATCH_ALL,
            **_enabled("systemd-networkd.service", "systemd-networkd.socket"),
        },
        "networkctl reload",
        "systemctl restart systemd-networkd.service",
        f"rm {_NETWORKD_FILE}",
    ),
    "netplan": Setup(
        {
            "etc/netplan/50-cloud-init.yaml": json.dumps(_NETPLAN),
            **_enabled("systemd-networkd.service", "systemd-networkd.socket"),
        },
        "netplan generate && networkctl reload",
        "netplan apply",
        f"rm {_NETWORKD_FILE}",
    ),
    "networkmanager": Setup(
        {
            "etc/NetworkManager/system-connections/management.nmconnection": _PROFILE.format(
                name="management", link="eth0", ipv4="address1=10.0.2.15/24", ipv6="method=link-local"
            ),
            "etc/NetworkManager/system-connections/trunk.nmconnection": _PROFILE.format(
                name="trunk",
                link="eth1",
                ipv4="address1=192.168.1.11/24,192.168.1.1",
                ipv6="method=manual\naddress1=fd00:192:168:1::11/64,fd00:192:168:1::1",
            ),
            **_enabled("NetworkManager.service"),
        },
        "nmcli general reload",
        "systemctl restart NetworkManager.service",
        f"rm {_NETWORK_MANAGER_FILE}",
        # Its default is not to manage foreign links as long as they have no address
        prepare=(
            "printf '[device-all]\\nmatch-device=*\\nmanaged=1\\n' > /etc/NetworkManager/conf.d/90-all.conf;"
            " systemctl restart NetworkManager.service"
        ),
        taken="nmcli -t -f DEVICE,STATE device | grep -q '^{link}:disconnected'",
    ),
    "dhcpcd": Setup(
        {
            "etc/network/interfaces": _INTERFACES,
            "etc/dhcpcd.conf": _DHCPCD,
            **_enabled("networking.service", "dhcpcd.service"),
        },
        "dhcpcd --rebind",
        "systemctl restart networking.service dhcpcd.service",
        "sed -i '/^# Managed by homeward/,+1d' /etc/dhcpcd.conf",
    ),
}
CONTENTS = Contents(
    packages=("network-manager", "netplan.io", "ifupdown", "dhcpcd"),
    setups={name: setup.files for name, setup in SETUPS.items()},
)
#: Release of Debian and name of the setup.
NODES = (*(("bookworm", name) for name in SETUPS), ("trixie", "networkd"))
SUITES = tuple(dict.fromkeys(suite for suite, _name in NODES))
