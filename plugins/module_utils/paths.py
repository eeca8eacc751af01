# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our files are on a node. None is below /usr, which may be read-only, but for a short name in /usr/local/sbin."""

from __future__ import annotations

LIBRARY = "/var/lib/homeward.metallb_routing"
STATE_FILE = f"{LIBRARY}/state.json"
RUNTIME = f"{LIBRARY}/runtime.zip"
COMMAND = f"{LIBRARY}/metallb-routing"
PYROUTE2_DIRECTORY = f"{LIBRARY}/python"
SHORT_COMMAND = "/usr/local/sbin/metallb-routing"
UNIT_NAME = "homeward-metallb-routing.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT_NAME}"
VOLATILE = "/run/homeward-metallb-routing"  # systemd makes it for the service, and removes it with it
REPORT_FILE = f"{VOLATILE}/guard.json"
VERSION_FILE = f"{VOLATILE}/version"
METRICS_FILE = "homeward_metallb_routing.prom"
#: First line of every file that a person may open.
FILE_HEADER = "# Made by homeward.metallb_routing; apply writes it anew, remove deletes it.\n"
