# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A substitute for systemd on nodes without one, so that runs persist their state there."""

from __future__ import annotations

from tests.lab.host import Host

#: Creates the same files as systemctl, and starts nothing.
PROGRAM = """#!/bin/sh
unit=homeward-metallb-routing.service
case $1 in
  enable)
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -sf ../$unit /etc/systemd/system/multi-user.target.wants/$unit
    ;;
  restart)
    mkdir -p /run/systemd/units /run/homeward-metallb-routing
    ln -sfn none /run/systemd/units/invocation:$unit
    sed -n 's/^ExecStart=.*--version //p' /etc/systemd/system/$unit > /run/homeward-metallb-routing/version
    ;;
  disable)
    rm -f /etc/systemd/system/multi-user.target.wants/$unit /run/systemd/units/invocation:$unit
    ;;
esac
"""


def install(host: Host) -> None:
    """Make the node look like one with systemd."""
    steps = (
        "mkdir -p /run/systemd/system",
        "mount -t tmpfs tmpfs /usr/local/sbin",
        "cat > /usr/local/sbin/systemctl",
        "chmod 755 /usr/local/sbin/systemctl",
    )
    host.run(["sh", "-ec", "\n".join(steps)], stdin=PROGRAM)
