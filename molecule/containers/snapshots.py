# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node is like before the role: its network, its files, its units. Kept with the lab, to be compared with later."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from tests.lab import Host

# Left out is what changes by itself: logs, caches, what Ansible and Python write where they run; and the two folders of
# iproute2's own that the role makes where a distribution has none of them, and leaves there, empty.
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


def take(node: Host) -> dict[str, str]:
    """Return the snapshots of a node as texts, by what they tell of."""
    told = {name: node.run(command).stdout for name, command in _COMMANDS.items()}
    return {**dict(node.snapshot().parts), **told}


def keep(node: Host, folder: Path) -> None:
    """Take a node's snapshots and keep it as the one of the start."""
    (folder / f"{node.name}.start.json").write_text(json.dumps(take(node)))


def difference(node: Host, folder: Path, beside: str | None = None) -> str:
    """Return what is different from the start, as a diff; empty if nothing is.

    :param beside: lines that have this in them are left out.
    """
    before, after = json.loads((folder / f"{node.name}.start.json").read_text()), take(node)
    lines: list[str] = []
    for name, text in before.items():
        old, new = (_lines(side, beside) for side in (text, after[name]))
        lines += difflib.unified_diff(old, new, name, f"{name} now", "", "", 0)
    return "\n".join(lines)


def _lines(text: str, beside: str | None) -> list[str]:
    return [line for line in text.splitlines() if beside is None or beside not in line]
