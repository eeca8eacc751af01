# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that keep network managers away from managed objects, and warnings about services that flush them. Pure."""

from __future__ import annotations

from collections.abc import Collection

from ..paths import FILE_HEADER, NETWORK_MANAGER_CONF, NETWORKD_CONF, NETWORKD_LINKS
from ..state import File, Link

NETWORKD = "systemd-networkd.service"
NETWORK_MANAGER = "NetworkManager.service"
FILES = (NETWORKD_CONF, NETWORKD_LINKS, NETWORK_MANAGER_CONF)
FLUSHING_SERVICES = {
    "firewalld.service": "firewalld deletes foreign nftables and iptables rules when it reloads with FlushAllOnReload",
    "ufw.service": "ufw flushes the built-in chains of iptables when it is enabled or reloaded",
    "nftables.service": 'the configuration of nftables.service usually starts with "flush ruleset", which deletes every chain',
}


def files_for(services: Collection[str], links: Collection[Link]) -> tuple[File, ...]:
    """Return the files for the network managers that run on this node.

    systemd-networkd deletes routes and rules that it did not create, unless it is configured not to (networkd.conf(5)).
    """
    names = sorted(link.name for link in links)
    files = []
    if NETWORKD in services:
        network = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
        files.append(File(NETWORKD_CONF, FILE_HEADER + network))
        if names:
            files.append(
                File(NETWORKD_LINKS, f"{FILE_HEADER}[Match]\nName={' '.join(names)}\n\n[Link]\nUnmanaged=yes\n")
            )
    if NETWORK_MANAGER in services and names:
        # In its own section: the key unmanaged-devices would replace the administrator's value.
        match = ",".join(f"interface-name:{name}" for name in names)
        device = f"[device-homeward-metallb-routing]\nmatch-device={match}\nmanaged=0\n"
        files.append(File(NETWORK_MANAGER_CONF, FILE_HEADER + device))
    return tuple(files)


def warnings_for(services: Collection[str]) -> tuple[str, ...]:
    """Return a warning for each service of this node that flushes rules or chains of other programs."""
    return tuple(
        f"{text}; the agent then adds the managed ones again."
        for name, text in FLUSHING_SERVICES.items()
        if name in services
    )
