# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that only serve convenience block neither a run nor a removal, and the plan knows so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.snapshot import assert_same
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, declared

POOLS = "pool_routing"
NAMES = "/etc/iproute2/rt_protos.d"
READ_ONLY = f"mkdir -p {NAMES}; mount --bind {NAMES} {NAMES}; mount -o remount,bind,ro {NAMES}"


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as made:
        yield made


def test_a_read_only_folder_blocks_nothing(node: Node) -> None:
    before = node.snapshot()
    node.host.run(READ_ONLY)
    planned = node.change(POOLS, declared(EXTERNAL), check=True)
    made = node.change(POOLS, declared(EXTERNAL))
    assert made["commands"] == planned["commands"]
    assert not [line for line in made["commands"] if NAMES in line]
    assert not node.change(POOLS, declared(EXTERNAL))["changed"]
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())


def test_a_folder_that_became_read_only_does_not_block_a_removal(node: Node) -> None:
    before = node.snapshot()
    node.change(POOLS, declared(EXTERNAL))
    node.host.run(READ_ONLY)
    assert not node.change(POOLS, declared(EXTERNAL))["changed"]
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot(), "routes4", "routes6", "rules4", "rules6", "nft", "sysctls")
    node.host.run(f"umount {NAMES}")
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())
