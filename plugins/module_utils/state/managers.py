# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network managers: their units, and how they learn of the files that are written for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..paths import DHCPCD_CONF, NETWORK_MANAGER_CONF, NETWORK_MANAGER_CONF_RUN, NETWORKD_LINKS, NETWORKD_LINKS_RUN

NETWORKD = "systemd-networkd.service"
NETWORK_MANAGER = "NetworkManager.service"
DHCPCD = "dhcpcd.service"
IFUPDOWN = "networking.service"
#: Files of other programs, of which only a block is managed: the header, and the line after it. Mode and owner are kept.
SHARED_FILES = frozenset({DHCPCD_CONF})


@dataclass(frozen=True)
class Reload:
    """How a manager learns of its files.

    :param files: those that it has to read again.
    :param command: has it do so.
    """

    files: frozenset[str]
    command: tuple[str, ...]


#: By unit.
RELOADS: Mapping[str, Reload] = {
    NETWORKD: Reload(frozenset({NETWORKD_LINKS, NETWORKD_LINKS_RUN}), ("networkctl", "reload")),
    NETWORK_MANAGER: Reload(
        frozenset({NETWORK_MANAGER_CONF, NETWORK_MANAGER_CONF_RUN}), ("nmcli", "general", "reload", "conf")
    ),
    # With the name of a link that does not exist, only its configuration is read, and no lease is renewed.
    DHCPCD: Reload(frozenset({DHCPCD_CONF}), ("dhcpcd", "--rebind", "homeward-none")),
}
