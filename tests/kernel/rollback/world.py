# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with pools and a controller, before and after harmful changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Link
from tests.kernel.rollback.controller import Controller
from tests.kernel.rollback.harms import Harm, decide_for
from tests.kernel.rollback.pending import FIRST, POOLS, SOON, waiting
from tests.lab.snapshot import Snapshot, without_link_numbers
from tests.support.node import Node
from tests.support.snapshots import assert_equivalent


class World:
    """Makes harmful changes on a node, and compares it with what it was."""

    def __init__(self, node: Node, controller: Controller) -> None:
        self.node, self.controller = node, controller

    def prepare(self, harm: Harm) -> Snapshot:
        """Apply the pools and what the change is going to delete; return the node as it is then."""
        self.node.change(POOLS, FIRST, before=partial(decide_for, harm.lost))
        self.await_controller(harm)
        return self.node.snapshot()

    def do(self, harm: Harm, *before: Callable[[], object]) -> None:
        """Make the change, and assert that it is one that cuts off."""
        self.node.change(POOLS, {**FIRST, **SOON}, before=waiting(partial(decide_for, harm.objects), *before))
        for family, address in harm.address:
            if family in harm.families:
                assert self.controller.is_cut_off(family, address), f"{family}: {harm.name} is harmless"

    def await_controller(self, harm: Harm) -> None:
        """Wait until the controller reaches the node."""
        self.controller.await_node(dict(harm.address))

    def assert_as(self, before: Snapshot, harm: Harm, *, but: str = "") -> None:
        """Assert that the node is reachable and as before, except for this part."""
        self.await_controller(harm)
        after = self.node.snapshot()
        parts = [_comparable(one, harm) for one in (before, after)]
        assert_equivalent(*(one.replaced(**({but: ""} if but else {})) for one in parts))


def _comparable(snapshot: Snapshot, harm: Harm) -> Snapshot:
    """Return the snapshot without what is new for a link that was made again: its number, and the MAC address of a macvlan."""
    found = without_link_numbers(snapshot)
    if any(isinstance(item, Link) for item in harm.lost):
        for part in ("links", "addresses"):
            links = map(json.loads, found[part].splitlines())
            found[part] = "\n".join(
                json.dumps({**link, "address": ""} if link["ifname"] == "mv0" else link) for link in links
            )
    return found
