# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a node's network state, files and units. The initial one is stored with the lab."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab import Host, Snapshot

# Without logs, caches and files that Ansible and Python write by themselves, and without iproute2's two folders, which the
# role creates if the distribution lacks them and leaves empty.
_COMMANDS = {
    "files": r"""
        find / -xdev \( -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache -o -name .ansible \
          -o -name __pycache__ \) -prune \
          -o -type d \( -path /etc/iproute2 -o -path /etc/iproute2/rt_protos.d -o -printf '%p/ %m\n' \) \
          -o -printf '%p %m %u %s %l\n' | LC_ALL=C sort""",
    "volatile files": "find /run -name '*homeward*' -o -name '*metallb*'",
    "units": "systemctl list-units --all --no-legend --plain --full '*homeward*' '*metallb*'",
    "failed units": "systemctl list-units --failed --no-legend --plain",
}


def take(node: Host) -> Snapshot:
    """Take a snapshot of a node."""
    return node.snapshot().replaced(**{name: node.output(command) for name, command in _COMMANDS.items()})


def store_initial(node: Host, folder: Path) -> None:
    """Take a snapshot of a node and store it as the initial one."""
    _file(node, folder).write_text(json.dumps(take(node)))


def difference(node: Host, folder: Path, ignored: str | None = None) -> str:
    """Return the differences between the initial snapshot and the current state; empty if there are none.

    :param ignored: differences that contain this text are left out.
    """
    initial = Snapshot(json.loads(_file(node, folder).read_text()))
    return "\n".join(line for line in initial.differences(take(node)) if ignored is None or ignored not in line)


def _file(node: Host, folder: Path) -> Path:
    return folder / f"{node.name}.initial.json"
