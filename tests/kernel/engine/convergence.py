# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that check mode predicted, and whose repetition writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.snapshot import Snapshot, assert_same
from tests.support.events import Events
from tests.support.modules import Answer
from tests.support.node import Node


def converge(
    node: Node, module: str, parameters: Mapping[str, Any], before: Snapshot | None = None
) -> tuple[Answer, Snapshot]:
    """Check, apply, and apply again: the check predicts the run, and neither it nor the last run writes anything.

    :param before: a snapshot of the node as it is.
    :returns: the answer of the run, and a snapshot of the node afterwards.
    """
    before = before or node.snapshot()
    with writes_nothing(node, before):
        foretold = node.change(module, parameters, check=True)
    done = node.change(module, parameters)
    assert foretold == done
    after = node.snapshot()
    changed = bool(before.difference(after))
    assert done["changed"] == changed == bool(done["commands"]), before.difference(after)
    assert (done["diff"] != {"before": {}, "after": {}}) == changed
    with writes_nothing(node, after):
        again = node.change(module, parameters)
    assert (again["changed"], again["commands"]) == (False, []), again["commands"]
    assert again["diff"] == {"before": {}, "after": {}}
    return done, after


@contextmanager
def writes_nothing(node: Node, before: Snapshot) -> Iterator[None]:
    """Assert that nothing is written on the node meanwhile, not even what it has already."""
    stamps = _file_stamps(node)
    with Events(node.host) as events:
        yield
    assert events.seen == []
    assert _file_stamps(node) == stamps
    assert_same(before, node.snapshot())


def _file_stamps(node: Node) -> dict[str, tuple[int, int]]:
    """Return inode and time of each managed file, which change even if the same content is written."""
    folders = ("/run/homeward.metallb_routing", "/etc/iproute2/rt_protos.d", "/var/lib/homeward.metallb_routing")
    files = [Path(path) for folder in folders for path in node.host.path(folder).rglob("*")]
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in files}
