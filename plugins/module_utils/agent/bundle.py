# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the agent's program."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from ..kernel.netlink.formats import dump_formats, find_formats
from ..paths import COMMAND, FORMATS_FILE, RUNTIME
from ..persistence import launcher
from ..persistence.deploy import Program
from ..state import File
from .archive import kept_or_made

if TYPE_CHECKING:
    # Ansible sends along what the source text of a module imports; this makes it send the agent without importing it here.
    from . import cli  # noqa: F401


def program(pyroute2_path: str, installed: Iterable[File]) -> Program:
    """Return the files of the agent.

    :param pyroute2_path: where this run has pyroute2 from.
    :param installed: the managed files that the node has.
    """
    formats = find_formats(pyroute2_path)
    return Program(
        partial(kept_or_made, installed),
        File(COMMAND, launcher.text(RUNTIME), 0o755),
        File(FORMATS_FILE, dump_formats(formats)),
        tables_needed=formats.from_file,
    )
