# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes everything of ours off the node, where no controller can do it any more."""

from __future__ import annotations

import shutil

from ..errors import NodeError
from ..kernel.lock import write_lock
from ..kernel.reader import Scope, read_node
from ..paths import LIBRARY, UNIT_NAME
from ..persistence.deploy import MANAGED_FILES, outdated_metrics
from ..persistence.statefile import load
from ..planning.plan import make_plan
from ..rollback import forget_earlier
from ..state import NodeState, Ownership
from ..state.node import PROTOCOL_FILE
from ..state.step import Step
from ..transaction import carry_out


def remove() -> tuple[Step, ...]:
    """Do what the playbook ``remove`` does, in one transaction; return the steps that it took.

    The folder of this very program goes last, with the copy of pyroute2 that may be in it.

    :raises HomewardError: it could not be done; the message says why, and the node is as before.
    """
    ownership, pyroute2_path = _as_declared()
    files = (PROTOCOL_FILE, *MANAGED_FILES, *outdated_metrics(""))
    scope = Scope(ownership, files=files, units=(UNIT_NAME,))
    with write_lock():
        node = read_node(scope, pyroute2_path)
        steps = make_plan(NodeState(), node).steps
        carry_out(steps, node.managed, scope, pyroute2_path)
        forget_earlier()  # or what nobody has confirmed yet would be taken back into the node
        shutil.rmtree(LIBRARY, ignore_errors=True)
    return steps


def _as_declared() -> tuple[Ownership, str]:
    """Return how our objects are known, and where pyroute2 is; a state file that cannot be read must keep nobody from removing."""
    try:
        saved = load()
    except NodeError:
        return Ownership(), f"{LIBRARY}/python"
    return saved.ownership, saved.pyroute2_path
