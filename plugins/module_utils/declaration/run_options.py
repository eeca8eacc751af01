# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that stand beside a declaration: how long a change waits to be confirmed, and where files go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .problems import Problems
from .values import is_unset, read_absolute_path, read_bounded

_PATHS = {
    "metrics_directory": "Give the whole path of the directory that node_exporter reads.",
    "pyroute2_path": "Give the whole path of a directory on the node, or leave it out.",
}
LONGEST_TIMEOUT = 3600  # seconds; a node that is cut off for longer has been missed by somebody


def check_keeping(parameters: Mapping[str, Any]) -> None:
    """Refuse a time to confirm or a path that cannot be meant.

    :param parameters: as ``AnsibleModule.params`` has them.
    :raises InputErrors: with everything that is wrong.
    """
    problems = Problems()
    seconds = parameters.get("confirm_timeout")
    if not is_unset(seconds):
        remedy = "Give seconds to wait for a new connection, 60 for instance, or 0 to wait for none."
        problems.attempt(0, read_bounded, "confirm_timeout", seconds, 0, LONGEST_TIMEOUT, remedy)
    for name, remedy in _PATHS.items():
        path = parameters.get(name)
        if not is_unset(path):
            problems.attempt("", read_absolute_path, name, path, remedy)
    problems.raise_all()
