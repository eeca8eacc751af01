# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a failed run are reverted, even if it is unknown which took effect or a step of the rollback fails too."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import (
    RTM_DELADDR,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    Rtnetlink,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.wire import Refusal, Request
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import Step
from tests.kernel.rollback.failure import REASON, assert_restored, fail_reverting, fails, intercept, names_step, trap
from tests.lab.snapshot import assert_same
from tests.support.node import Node
from tests.support.pools import ABSENT, EXTERNAL, STORAGE, Parameters, declared
from tests.support.snapshots import unchanged

POOLS = "pool_routing"
FIRST = declared(EXTERNAL, STORAGE)
LOST = "The kernel sent no answers over netlink within 60 s"
OWN = declared({**EXTERNAL, "addresses": ["1.2.3.251", "fd00:1:2:3::251"]}, STORAGE)


def lose_answers(number: int, *, done: bool, after: int = 0) -> Callable[[], None]:
    """Return a function that makes the answers to requests of this type get lost once, with or after the requests.

    :param after: number of batches with such a request that pass before.
    """

    def arm() -> None:
        batch = Rtnetlink.batch
        left = [after]

        def losing(netlink: Rtnetlink, requests: Sequence[Request]) -> list[Refusal | None]:
            if all(request.type != number for request in requests):
                return batch(netlink, requests)
            left[0] -= 1
            if done or left[0] != -1:
                answers = batch(netlink, requests)
            if left[0] == -1:
                raise NodeError(f"{LOST}.")
            return answers

        Rtnetlink.batch = losing  # type: ignore[method-assign]

    return arm


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
@pytest.mark.parametrize(
    ("start", "end", "number"),
    [
        (ABSENT, OWN, RTM_NEWADDR),
        (ABSENT, OWN, RTM_NEWROUTE),
        (ABSENT, OWN, RTM_NEWRULE),
        (OWN, ABSENT, RTM_DELADDR),
        (OWN, ABSENT, RTM_DELROUTE),
        (OWN, ABSENT, RTM_DELRULE),
    ],
    ids=["new-address", "new-route", "new-rule", "lost-address", "lost-route", "lost-rule"],
)
def test_a_step_whose_answer_is_lost_is_rolled_back(
    node: Node, start: Parameters, end: Parameters, number: int, *, done: bool
) -> None:
    node.change(POOLS, start)
    before = node.snapshot()
    names_step(node.module(POOLS, end, before=lose_answers(number, done=done)), LOST)
    assert_restored(node, before)


@pytest.mark.parametrize("after", [1, 2], ids=["made", "marked"])
def test_a_link_whose_answer_is_lost_is_deleted_again(node: Node, after: int) -> None:
    """Without its alias the link would be foreign later."""
    links = {"links": [{"name": "mv0", "kind": "macvlan", "parent": "eth1"}]}
    if node.module("ip_links", links, check=True).get("failed"):
        pytest.skip("this kernel has no macvlan")
    # The first request finds out whether the kernel supports such links.
    fails(node, links, LOST, module="ip_links", before=lose_answers(RTM_NEWLINK, done=True, after=after))


@pytest.mark.parametrize("kind", ["address", "rule", "chains"])
def test_an_unexpected_exception_is_rolled_back(node: Node, kind: str) -> None:
    left = [kind]

    def failing(now: str, steps: Sequence[Step], write: Callable[[Sequence[Step]], None]) -> None:
        write(steps)
        if now in left:
            left.remove(now)
            raise OSError(errno.EMFILE, "Too many open files")

    before = node.snapshot()
    names_step(
        node.module(POOLS, OWN, before=lambda: intercept(failing)), "OSError: [Errno 24] Too many open files", kind
    )
    assert_restored(node, before)


def test_the_rollback_continues_after_a_failed_step(node: Node) -> None:
    """All failures are reported, and everything else is reverted."""
    before = node.snapshot()

    def arm() -> None:
        trap(12)
        fail_reverting("file", "the disk is gone")
        fail_reverting("route", "the table is gone")

    answer = node.module(POOLS, FIRST, before=arm)
    assert REASON in answer["msg"]
    assert "the disk is gone" in answer["msg"]
    assert "the table is gone" in answer["msg"]
    assert "The rollback failed too" in answer["msg"]
    after = node.snapshot()
    assert_same(before, after, "rules4", "rules6", "sysctls")
    assert "homeward" in before.difference(after, "files")
    node.change(POOLS, ABSENT)
    assert_same(before, node.snapshot())


def test_a_failed_rollback_is_reported_and_repaired_by_the_next_run(node: Node) -> None:
    """The message does not claim that the node is as before; the next run fixes it."""
    with unchanged(node):

        def arm() -> None:
            trap(12)
            fail_reverting("sysctl", "the disk is gone")

        answer = node.module(POOLS, FIRST, before=arm)
        assert answer.get("failed")
        assert REASON in answer["msg"]
        assert "the disk is gone" in answer["msg"]
        assert "as before" not in answer["msg"]
        assert "The rollback failed too" in answer["msg"]
        node.change(POOLS, FIRST)
        node.change(POOLS, ABSENT)
