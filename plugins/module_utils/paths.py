# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths on the node. Only the short name of the command is below /usr, which may be read-only."""

from __future__ import annotations

LIBRARY = "/var/lib/homeward.metallb_routing"
STATE_FILE = f"{LIBRARY}/state.json"
RUNTIME = f"{LIBRARY}/runtime.zip"
COMMAND = f"{LIBRARY}/metallb-routing"
PYROUTE2_DIRECTORY = f"{LIBRARY}/python"
SHORT_COMMAND = "/usr/local/sbin/metallb-routing"

PROTOCOL_FILE = "/etc/iproute2/rt_protos.d/homeward.conf"
UNIT_NAME = "homeward-metallb-routing.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT_NAME}"
NETWORKD_CONF = "/etc/systemd/networkd.conf.d/50-homeward-metallb-routing.conf"
NETWORKD_LINKS = "/etc/systemd/network/05-homeward-metallb-routing.network"
NETWORK_MANAGER_CONF = "/etc/NetworkManager/conf.d/50-homeward-metallb-routing.conf"

LOCK_FILE = "/run/homeward.metallb_routing.lock"
RUN_DIRECTORY = "/run/homeward.metallb_routing"  # marker files of pending changes, original values of sysctls
AGENT_DIRECTORY = "/run/homeward-metallb-routing"  # the unit's RuntimeDirectory: systemd creates and removes it
REPORT_FILE = f"{AGENT_DIRECTORY}/agent.json"
VERSION_FILE = f"{AGENT_DIRECTORY}/version"
METRICS_FILE = "homeward_metallb_routing.prom"

MANAGED_BY = "Managed by homeward.metallb_routing: apply rewrites this file, remove deletes it."
#: First line of every text file that is installed.
FILE_HEADER = f"# {MANAGED_BY}\n"
