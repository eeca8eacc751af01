# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two pools on two links behind two routers: each reply leaves through its pool's router, even to the same client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT, apply, assert_all_reached, assert_matrix, lab_of, pool_of
from tests.lab import Lab
from tests.lab.delivery import all_cells
from tests.lab.flows import open_socket, run_flow
from tests.lab.options import SECOND_INTERFACE
from tests.lab.services import SECOND_POOL, SERVICE_PORT
from tests.lab.witnesses import Witnesses

SECOND: dict[str, Any] = {
    "name": "second",
    "networks": list(SECOND_POOL.values()),
    "interface": SECOND_INTERFACE,
    "gateways": ["1.2.4.1", "fd00:1:2:4::1"],
}


@pytest.fixture(params=[("iptables", 1), ("nftables", 2)], ids=str)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with two pools that are not applied."""
    mode, rp_filter = request.param
    with lab_of(kube_proxy=mode, rp_filter=rp_filter, second_pool=True) as made:
        yield made


def test_replies_leave_through_the_router_of_their_pool(lab: Lab) -> None:
    apply(lab, pool_of(lab), SECOND)
    assert_matrix(lab)
    # Again with the same client port for both, so that the connections differ only in the pool.
    for port, (name, family) in enumerate((("lo-p1", 4), ("cl-p2", 4), ("lo-host1", 4), ("ds-cl-p1", 6)), 9800):
        for service, way in ((name, "pool"), (f"second-{name}", "second")):
            assert ways(lab, service, family, port) == (way,)


def ways(lab: Lab, service: str, family: int, port: int) -> tuple[str, ...]:
    """Return the ways of replies to the outside client's port."""
    address = lab.services[service].address_of(family)
    assert address is not None
    handle = lab.host("outside").call(lambda: open_socket("udp", family, port))
    witnesses = Witnesses(lab)
    try:
        asyncio.run(run_flow(handle, "udp", (address, SERVICE_PORT), TIMEOUT))
        return witnesses.ways()[port]
    finally:
        witnesses.close()


def test_each_pool_may_have_another_case(lab: Lab) -> None:
    """One pool is guarded, the other is not; each works as if it were alone."""
    apply(lab, pool_of(lab), {**SECOND, "case": "source_routing"})
    assert_matrix(lab)


def test_removing_one_pool_does_not_affect_the_other(lab: Lab) -> None:
    """And nothing of the removed pool is reached from outside any more."""
    apply(lab, pool_of(lab), SECOND)
    apply(lab, pool_of(lab))
    cells = [cell for cell in all_cells(lab) if cell.client in ("outside", "onlink")]
    of_second = [cell for cell in cells if cell.service.startswith("second-")]
    assert_all_reached(lab, lab.deliver([cell for cell in cells if cell not in of_second], timeout=TIMEOUT))
    assert not any(one.reached for one in lab.deliver(of_second, timeout=LOST_TIMEOUT))
