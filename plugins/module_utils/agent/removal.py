# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove everything managed from the node, for use when no controller can."""

from __future__ import annotations

import shutil

from .. import transaction
from ..errors import NodeError
from ..kernel.iptables import programs
from ..kernel.iptables.unlocked import chains_before_lock
from ..kernel.lock import write_lock
from ..kernel.reader import Scope, read_node
from ..kernel.speaker import remember
from ..paths import FORMATS_FILE, LIBRARY, PROTOCOL_FILE, UNIT_NAME
from ..pending import forget_earlier
from ..persistence.deploy import MANAGED_FILES, stale_metrics_files, with_optional_files
from ..persistence.statefile import load
from ..planning.plan import make_plan
from ..state import NodeState, Ownership
from ..state.step import Step


def remove() -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Do what the playbook ``remove`` does, in one transaction; return its steps, and the chains that stay.

    The directory of this program is deleted last.

    :raises HomewardError: it failed; the message says why, and the node is as before.
    """
    ownership, pyroute2_path = _from_state_file()
    files = (PROTOCOL_FILE, *MANAGED_FILES, *stale_metrics_files(""))
    scope = Scope(ownership, files=files, units=(UNIT_NAME,), facts=False)
    with chains_before_lock(write_lock, scope.iptables_variant, ownership, scope.tables) as iptables:
        node = read_node(scope, pyroute2_path, iptables)
        steps = make_plan(with_optional_files(NodeState(), node), node).steps
        transaction.apply(steps, node.managed, scope, pyroute2_path)
        forget_earlier()  # or the rollback of an unconfirmed change would create objects again
        remember({})
        shutil.rmtree(LIBRARY, ignore_errors=True)
    return steps, node.iptables_left


def _from_state_file() -> tuple[Ownership, str]:
    """Return the markers of ownership and the path of pyroute2; the defaults if the file is unusable, as removal must work."""
    try:
        saved = load()
        programs.look_in(saved.program_directories)
    except NodeError:
        return Ownership(), FORMATS_FILE
    return saved.ownership, saved.pyroute2_path
