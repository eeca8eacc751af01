# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The netlink socket: dumps, batches and their answers."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import sockets
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.routes import (
    read_routes,
    write_routes,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import (
    RTM_DELRULE,
    RTM_GETROUTE,
    RTM_NEWRULE,
    Rtnetlink,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Refusal,
    Request,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import Route
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state.step import StepsFailed
from tests.support.namespace import Namespace
from tests.support.steps import FORMATS, OWNERSHIP, add, inside

COUNT = 3000
ROUTES = [Route("ipv4", 7701, f"172.{16 + i // 256}.{i % 256}.0/24", interface="eth0") for i in range(COUNT)]


def _read_with_buffer(size: int) -> tuple[set[Route], int]:
    with Rtnetlink(FORMATS) as netlink:
        write_routes(netlink, add(*ROUTES), OWNERSHIP)
        netlink._buffer = bytearray(size)  # noqa: SLF001 - a small buffer stands in for a huge object
        managed = read_routes(netlink, OWNERSHIP, read_links(netlink, OWNERSHIP).names)[0]
        return set(managed), len(netlink._buffer)  # noqa: SLF001


@pytest.mark.parametrize("size", [64, 1000, 4096, 256 << 10])
def test_a_dump_is_complete_with_a_buffer_of_any_size(namespace: Namespace, size: int) -> None:
    routes, grown = namespace.call(_read_with_buffer, size)
    assert routes == set(ROUTES)
    assert (grown > size) == (size <= 4096)


def _write_with_receive_buffer(size: int) -> tuple[int, int]:
    with Rtnetlink(FORMATS) as netlink:
        netlink.resize_receive_buffer(size)
        write_routes(netlink, add(*ROUTES), OWNERSHIP)
        managed = read_routes(netlink, OWNERSHIP, read_links(netlink, OWNERSHIP).names)[0]
        return netlink.messages_per_send, len(managed)


@pytest.mark.parametrize("size", [0, 20000, 200000, 4 << 20])
def test_no_answer_is_lost_with_a_receive_buffer_of_any_size(namespace: Namespace, size: int) -> None:
    per_send, written = namespace.call(_write_with_receive_buffer, size)
    assert written == COUNT
    assert (per_send == 1) == (size == 0)


def test_answers_beyond_the_receive_buffer_are_an_error(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """ANSWER_COST is needed: with a lower one the kernel drops answers, which is an error."""
    monkeypatch.setattr(sockets, "ANSWER_COST", 1)
    monkeypatch.setattr(sockets, "ANSWER_TIMEOUT", 1)
    with pytest.raises(StepsFailed, match=r"within 1 s|receive buffer was full") as caught:
        namespace.call(_write_with_receive_buffer, 0)
    assert caught.value.failed in caught.value.unsure, "it is not known whether it took effect"


def test_a_refused_dump_has_the_kernels_reason(namespace: Namespace) -> None:
    with pytest.raises(
        NodeError, match="The kernel does not list its routes: EINVAL: Invalid values in header for FIB"
    ):
        namespace.call(
            inside,
            lambda netlink: netlink.dump_fields(RTM_GETROUTE, FORMATS.route, "routes", {"family": 2, "src_len": 3}),
        )


def test_every_request_of_a_batch_has_its_own_answer(namespace: Namespace) -> None:
    def rule(priority: int, **fields: int) -> bytes:
        return FORMATS.rule.encode({"family": 2, "action": 1, "FRA_PRIORITY": priority, "FRA_TABLE": 7701, **fields})

    exclusive = NLM_F_CREATE | NLM_F_EXCL
    requests = [
        Request(RTM_NEWRULE, exclusive, rule(5)),
        Request(RTM_NEWRULE, exclusive, rule(5)),
        Request(RTM_DELRULE, 0, rule(6)),
        Request(RTM_NEWRULE, exclusive, rule(7, action=2, FRA_GOTO=3)),
        Request(RTM_NEWRULE, exclusive, rule(8)),
    ] * 100
    answers = namespace.call(inside, lambda netlink: netlink.batch(requests))
    exists, missing, backward = Refusal(17), Refusal(2), Refusal(22, "Backward goto not supported")
    assert answers == [None, exists, missing, backward, None] + [exists, exists, missing, backward, exists] * 99


class Disturbed(Rtnetlink):
    """A socket in the middle of whose dumps of links another link is created.

    :param disturbances: how many dumps are disturbed.
    """

    def __init__(self, disturbances: int) -> None:
        super().__init__(FORMATS)
        self.dumps = 0
        self._created = 0
        self._disturbances = disturbances

    def _dump_once(self, *arguments: Any) -> Any:
        self.dumps += 1
        return super()._dump_once(*arguments)

    def _receive(self, what: str) -> int:
        size = super()._receive(what)
        if self._created < min(self.dumps, self._disturbances):
            self._created += 1
            subprocess.run(["ip", "link", "add", f"new{self._created}", "type", "bridge"], check=True)
        return size


def _read_disturbed(disturbances: int) -> tuple[int, set[str]]:
    """Return how many dumps it took, and the names of the links."""
    with Disturbed(disturbances) as netlink:
        names = set(read_links(netlink, OWNERSHIP).interfaces)
        return netlink.dumps, names


@pytest.fixture
def crowded(namespace: Namespace) -> Namespace:
    """Return a namespace with more links than the kernel sends at once."""
    namespace.ip(*(f"link add stay{i} type bridge" for i in range(100)))
    return namespace


def test_an_interrupted_dump_is_repeated(crowded: Namespace) -> None:
    dumps, names = crowded.call(_read_disturbed, 2)
    assert dumps == 3
    assert {"new1", "new2", *(f"stay{i}" for i in range(100))} <= names


def test_links_that_change_during_every_dump_are_an_error(crowded: Namespace) -> None:
    with pytest.raises(NodeError, match="The kernel's links changed during each of 20 reads"):
        crowded.call(_read_disturbed, 1000)
