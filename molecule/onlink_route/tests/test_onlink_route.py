# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients on the pool's link, nodes and pods reach the pool; replies to clients outside still take the default route."""

from __future__ import annotations

import pytest
from containers.assertions import PATIENCE, assert_reached
from containers.lab import ContainerLab
from testinfra.host import Host as InfraHost

from tests.lab.delivery import all_cells

INSIDE = ["node1", "node2", "pod1", "pod2"]


def test_clients_on_the_link_are_answered(lab: ContainerLab) -> None:
    assert_reached(lab.deliver(all_cells(lab, clients=["onlink"]), timeout=PATIENCE))


def test_nodes_and_pods_reach_everything(lab: ContainerLab) -> None:
    assert_reached(lab.deliver(all_cells(lab, clients=INSIDE), timeout=PATIENCE))


def test_replies_to_clients_outside_take_the_default_route(lab: ContainerLab) -> None:
    """The case does not promise more: where this is not enough, the pool needs a gateway, and is another case."""
    for one in lab.deliver(all_cells(lab, clients=["outside"], families=[6]), timeout=PATIENCE / 2):
        assert (one.reached, one.ways) == (False, ("default",)), one


@pytest.mark.parametrize(("family", "network"), [(4, "1.2.3.0/24"), (6, "fd00:1:2:3::/64")])
def test_route_is_there(host: InfraHost, family: int, network: str) -> None:
    assert f"{network} dev eth0.100" in host.check_output(f"ip -{family} route show table main proto homeward")
