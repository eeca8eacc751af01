# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The netlink socket against the real kernel."""

from __future__ import annotations

import multiprocessing
import subprocess
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink import rtnetlink
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.links import read_links
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.routes import (
    read_routes,
    write_routes,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.netlink.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELRULE,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWRULE,
    Refusal,
    Request,
    Rtnetlink,
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
def test_a_dump_of_many_parts_is_whole_whatever_the_buffer(namespace: Namespace, size: int) -> None:
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
def test_no_answer_is_lost_whatever_the_receive_buffer(namespace: Namespace, size: int) -> None:
    per_send, written = namespace.call(_write_with_receive_buffer, size)
    assert written == COUNT
    assert (per_send == 1) == (size == 0)


def test_answers_beyond_the_receive_buffer_are_an_error(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The price of one answer is right: with a lower one the kernel throws answers away, and that is told."""
    monkeypatch.setattr(rtnetlink, "ANSWER_COST", 1)
    monkeypatch.setattr(rtnetlink, "ANSWER_TIMEOUT", 1)
    with pytest.raises(StepsFailed, match=r"within 1 s|receive buffer was full") as caught:
        namespace.call(_write_with_receive_buffer, 0)
    assert caught.value.failed in caught.value.unsure, "nobody can say whether it took effect"


def test_a_refused_dump_tells_the_kernels_words(namespace: Namespace) -> None:
    with pytest.raises(
        NodeError, match="The kernel does not list its routes: EINVAL: Invalid values in header for FIB"
    ):
        namespace.call(
            inside, lambda netlink: netlink.dump(RTM_GETROUTE, FORMATS.route, "routes", {"family": 2, "src_len": 3})
        )


def test_every_request_has_its_own_answer(namespace: Namespace) -> None:
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


def _read_while_links_come_and_go(namespace_name: str) -> tuple[int, int]:
    """Read links again and again while others change; return how many reads, and how many dumps they took."""
    dumps = 0

    class Counting(Rtnetlink):
        def _dump_once(self, *arguments: Any) -> Any:
            nonlocal dumps
            dumps += 1
            return super()._dump_once(*arguments)

    ready = multiprocessing.Event()
    churn = multiprocessing.get_context("fork").Process(target=_churn, args=(ready,))
    churn.start()
    ready.wait()
    reads = 0
    with Counting(FORMATS) as netlink:
        while churn.is_alive():
            links = read_links(netlink, OWNERSHIP)
            assert {f"stay{i}" for i in range(200)} <= links.interfaces.keys(), namespace_name
            reads += 1
    return reads, dumps


def _churn(ready: object) -> None:
    ready.set()  # type: ignore[attr-defined]
    lines = "".join(f"link add come{i} type veth peer name go{i}\nlink delete come{i}\n" for i in range(150))
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def test_a_dump_that_was_interrupted_is_done_again(namespace: Namespace) -> None:
    namespace.ip(*(f"link add stay{i} type veth peer name away{i}" for i in range(200)))
    reads, dumps = namespace.call(_read_while_links_come_and_go, namespace.name)
    assert 0 < reads < dumps


def test_an_endless_change_is_told(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rtnetlink, "_dump_once", lambda *_arguments: ([], False))
    with pytest.raises(NodeError, match="The kernel's links changed during each of 20 reads"):
        namespace.call(inside, lambda netlink: netlink.dump(RTM_GETLINK, FORMATS.link, "links", {}))
