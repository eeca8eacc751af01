# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole delivery matrices with source_routing and onlink_route, in every mode and with every rp_filter.

policy_routing is tested in more worlds, in ``test_worlds.py``.
"""

from __future__ import annotations

import pytest

from tests.kernel.delivery.lab import CELLS, apply, assert_matrix, count, lab_of, pool_of, try_all
from tests.kernel.delivery.worlds import CHOICES
from tests.lab import Cell
from tests.lab.delivery import BEHIND_ROUTERS, expected_ways


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
@pytest.mark.parametrize("rp_filter", CHOICES["rp_filter"])
@pytest.mark.parametrize("mode", CHOICES["kube_proxy"])
def test_source_routing_reaches_everything(mode: str, rp_filter: int, shared: bool) -> None:
    with lab_of(kube_proxy=mode, rp_filter=rp_filter, shared_link=shared) as lab:
        apply(lab, pool_of(lab, case="source_routing"))
        assert_matrix(lab)


@pytest.mark.parametrize("rp_filter", CHOICES["rp_filter"])
@pytest.mark.parametrize("mode", CHOICES["kube_proxy"])
def test_onlink_route_reaches_clients_on_the_link(mode: str, rp_filter: int) -> None:
    """And nodes and pods. Clients behind a router get no reply through it; datagrams of the LAN are replied to directly."""

    def lost(cell: Cell) -> bool:
        direct = cell.client == "lan" and cell.protocol == "udp" and (rp_filter == 0 or cell.family == 6)
        return cell.client in BEHIND_ROUTERS and not direct

    with lab_of(kube_proxy=mode, rp_filter=rp_filter) as lab:
        apply(lab, pool_of(lab, case="onlink_route", gateways=None))
        deliveries = try_all(lab, lost)
        assert len(deliveries) == CELLS
        for one in deliveries:
            if one.cell.client in BEHIND_ROUTERS:
                assert (one.reached, "pool" in one.ways) == (not lost(one.cell), False), one
            else:
                assert (one.reached, one.ways) == (True, expected_ways(one.cell.client)), one
        count(deliveries)


@pytest.mark.parametrize("shared", [False, True], ids=["dedicated", "shared"])
@pytest.mark.parametrize("mode", CHOICES["kube_proxy"])
def test_two_cases_on_one_link_do_not_affect_each_other(mode: str, shared: bool) -> None:
    """The guard of one pool passes packets to the other."""
    link = {"onlink_networks": ["1.2.3.0/24", "fd00:1:2:3::/64"]}
    guarded = {"networks": ["1.2.3.4-1.2.3.8", "fd00:1:2:3::20"], **link}
    other = {"name": "other", "networks": ["1.2.3.9-1.2.3.31", "fd00:1:2:3::21-fd00:1:2:3::2f"], **link}
    with lab_of(kube_proxy=mode, rp_filter=1, shared_link=shared) as lab:
        apply(lab, pool_of(lab, case="policy_routing", **guarded), pool_of(lab, case="source_routing", **other))
        assert_matrix(lab)
