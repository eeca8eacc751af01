# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A later run uses the code that the first one installed on the node; whatever is wrong with that, the code is sent again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.many_nodes import ManyNodes
from tests.support import systemctl
from tests.support.playbooks import Played, play, variables

ARCHIVE = "/var/lib/homeward.metallb_routing/runtime.zip"
FROM_THE_NODE, SENT = "pool_routing_installed", "pool_routing"


@pytest.fixture
def site() -> Iterator[ManyNodes]:
    with ManyNodes(1, prefix="homeward-installed") as made:
        systemctl.install(made.nodes[0])
        yield made


def run(site: ManyNodes, *options: str, playbook: str = "apply", **pool: Any) -> Played:
    played = play(site, playbook, variables(**pool), "-vvv", *options)
    assert played.code == 0, played.text
    return played


def modules(played: Played) -> list[str]:
    """Return the modules of this collection that were run, in order."""
    return re.findall(r"^Using module file .*/metallb_routing/plugins/modules/(\w+)\.py$", played.text, re.MULTILINE)


def test_later_runs_use_the_code_on_the_node(site: ManyNodes) -> None:
    node = site.nodes[0]
    before = node.snapshot()
    first = run(site)
    assert modules(first)[:2] == [FROM_THE_NODE, SENT]
    assert first.changed() == 1
    applied = node.snapshot()

    again = run(site)
    assert (modules(again), again.changed()) == ([FROM_THE_NODE], 0)
    assert applied.difference(node.snapshot()) == ""

    predicted = run(site, "--check", "--diff", deny=["10.9.0.0/16"])
    assert (modules(predicted), predicted.changed()) == ([FROM_THE_NODE], 1)
    assert applied.difference(node.snapshot()) == ""
    changed = run(site, "--diff", deny=["10.9.0.0/16"])
    assert (modules(changed), changed.changed()) == ([FROM_THE_NODE], 1)
    assert shown(predicted) == shown(changed)
    assert "10.9.0.0/16" in node.snapshot().difference(applied)

    removed = run(site, playbook="remove")
    assert modules(removed)[0] == SENT, "not from an archive that it removes"
    assert before.difference(node.snapshot()) == ""


def shown(played: Played) -> str:
    """Return the difference that was printed."""
    return played.text.partition("--- before")[2].partition("changed: [")[0]


@pytest.mark.parametrize(
    "damage", [f"truncate --size=-1 {ARCHIVE}", f"printf 0 | dd of={ARCHIVE} bs=1 seek=2000 conv=notrunc status=none"]
)
def test_damaged_code_is_not_run_but_replaced(site: ManyNodes, damage: str) -> None:
    run(site)
    node = site.nodes[0]
    checksum = node.run(["sha256sum", ARCHIVE]).stdout
    node.run(["sh", "-ec", damage])
    repaired = run(site)
    assert (modules(repaired)[:2], repaired.changed()) == ([FROM_THE_NODE, SENT], 1)
    assert node.run(["sha256sum", ARCHIVE]).stdout == checksum
    assert modules(run(site)) == [FROM_THE_NODE]
