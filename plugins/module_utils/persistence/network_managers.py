# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that keep other managers of the network from taking what is ours, and warnings of those that cannot be kept. Pure."""

from __future__ import annotations

from collections.abc import Collection

from ..paths import FILE_HEADER
from ..state import File, Link

NETWORKD = "systemd-networkd.service"
NETWORK_MANAGER = "NetworkManager.service"
NETWORKD_CONF = "/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
NETWORKD_LINKS = "/etc/systemd/network/05-homeward-metallb-routing.network"
NETWORK_MANAGER_CONF = "/etc/NetworkManager/conf.d/50-homeward-metallb-routing.conf"
FILES = (NETWORKD_CONF, NETWORKD_LINKS, NETWORK_MANAGER_CONF)
FLUSHERS = {
    "firewalld.service": "firewalld takes foreign nftables and iptables rules away when it reloads with FlushAllOnReload",
    "ufw.service": "ufw flushes the built-in chains of iptables when it is enabled or reloaded",
    "nftables.service": 'nftables.service usually begins with "flush ruleset", which takes all chains away, ours too',
}


def files_for(services: Collection[str], links: Collection[Link]) -> tuple[File, ...]:
    """Return the files for the managers that run here.

    systemd-networkd deletes routes and rules that it did not make (networkd.conf(5)) unless it is told to leave them.
    """
    names = sorted(link.name for link in links)
    files = []
    if NETWORKD in services:
        keep = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
        files.append(File(NETWORKD_CONF, FILE_HEADER + keep))
        if names:
            files.append(
                File(NETWORKD_LINKS, f"{FILE_HEADER}[Match]\nName={' '.join(names)}\n\n[Link]\nUnmanaged=yes\n")
            )
    if NETWORK_MANAGER in services and names:
        # A section of its own: the key unmanaged-devices would replace what the administrator has set there.
        match = ",".join(f"interface-name:{name}" for name in names)
        device = f"[device-homeward-metallb-routing]\nmatch-device={match}\nmanaged=0\n"
        files.append(File(NETWORK_MANAGER_CONF, FILE_HEADER + device))
    return tuple(files)


def warnings_for(services: Collection[str]) -> tuple[str, ...]:
    """Return what else on this node takes rules away."""
    return tuple(f"{text}; the guard puts them back." for name, text in FLUSHERS.items() if name in services)
