# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that keep network managers away from managed objects, and warnings about services that interfere with them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from ..paths import (
    BLOCK_HEADER,
    DHCPCD_CONF,
    FILE_HEADER,
    NETWORK_MANAGER_CONF,
    NETWORK_MANAGER_CONF_0_1,
    NETWORK_MANAGER_CONF_RUN,
    NETWORKD_CONF,
    NETWORKD_CONF_RUN,
    NETWORKD_LINKS,
    NETWORKD_LINKS_0_1,
    NETWORKD_LINKS_RUN,
)
from ..state import File
from ..state.managers import DHCPCD, NETWORK_MANAGER, NETWORKD

_OF_NETWORKD = (NETWORKD_CONF, NETWORKD_CONF_RUN, NETWORKD_LINKS, NETWORKD_LINKS_RUN, NETWORKD_LINKS_0_1)
_OF_NETWORK_MANAGER = (NETWORK_MANAGER_CONF, NETWORK_MANAGER_CONF_RUN, NETWORK_MANAGER_CONF_0_1)
FILES = (*_OF_NETWORKD, *_OF_NETWORK_MANAGER, DHCPCD_CONF)
FLUSHING_SERVICES = {
    "firewalld.service": "firewalld deletes foreign nftables and iptables rules when it reloads with FlushAllOnReload",
    "ufw.service": "ufw flushes the built-in chains of iptables when it is enabled or reloaded",
    "nftables.service": 'the configuration of nftables.service usually starts with "flush ruleset", which deletes every chain',
}


def files_for(
    services: Collection[str],
    links: Collection[str],
    existing: Collection[str],
    writable: Callable[[str], bool],
    *,
    persistent: bool = True,
) -> tuple[File, ...]:
    """Return the files for the network managers of this node.

    systemd-networkd deletes routes and rules that it did not create, unless it is configured not to (networkd.conf(5)).

    :param services: active units; the files of a manager that has been stopped stay, because it may be started again.
    :param links: names of the managed links.
    :param existing: paths of the files that the node has.
    :param writable: whether a file can be written at a path.
    :param persistent: whether the links exist after a reboot.
    """
    names = sorted(links)
    present = set(existing)

    def place(permanent: str, volatile: str) -> str:
        return permanent if persistent and writable(permanent) else volatile

    files = []
    if NETWORKD in services or present.intersection(_OF_NETWORKD):
        network = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
        files.append(File(place(NETWORKD_CONF, NETWORKD_CONF_RUN), FILE_HEADER + network))
        if names:
            match = f"[Match]\nName={' '.join(names)}\n\n[Link]\nUnmanaged=yes\n"
            files.append(File(place(NETWORKD_LINKS, NETWORKD_LINKS_RUN), FILE_HEADER + match))
    if names and (NETWORK_MANAGER in services or present.intersection(_OF_NETWORK_MANAGER)):
        files.append(File(place(NETWORK_MANAGER_CONF, NETWORK_MANAGER_CONF_RUN), FILE_HEADER + _keyfile(names)))
    if names and (DHCPCD in services or DHCPCD_CONF in present) and writable(DHCPCD_CONF):
        files.append(File(DHCPCD_CONF, f"{BLOCK_HEADER}denyinterfaces {' '.join(names)}\n"))
    return tuple(files)


def _keyfile(names: Sequence[str]) -> str:
    """Return sections for NetworkManager.conf(5).

    Each of the two is overruled by some setting of the administrator: the list by a later one without ``+``, the section by
    a later section with ``managed=1``.
    """
    devices = [f"interface-name:{name}" for name in names]
    return (
        f"[keyfile]\nunmanaged-devices+={';'.join(devices)}\n\n"
        f"[device-homeward-metallb-routing]\nmatch-device={';'.join(devices)}\nmanaged=0\n"
    )


def warnings_for(services: Collection[str], made_by_ifupdown: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each service of this node that flushes rules or chains of other programs, or makes managed links.

    :param made_by_ifupdown: managed links that ifupdown creates at boot, with the file that says so.
    """
    for name, text in FLUSHING_SERVICES.items():
        if name in services:
            yield f"{text}; the agent then adds the managed ones again."
    for link, file in sorted(made_by_ifupdown.items()):
        yield (
            f"{file} has a section for {link}, so ifupdown creates the link at boot, before the agent does. Remove the section, or"
            " create the link with it now (ifup) and leave vlan out."
        )


def volatile_files(files: Iterable[File]) -> Iterator[str]:
    """Yield a warning about the files that do not survive a reboot, although the links do."""
    paths = [file.path for file in files if file.path.startswith("/run/")]
    if paths:
        yield (
            f"persist: {', '.join(paths)} cannot be in /etc, which is read-only. After a reboot, nothing keeps the network manager"
            " from configuring the links of pools. Add the file to /etc by the means with which this node is configured."
        )
