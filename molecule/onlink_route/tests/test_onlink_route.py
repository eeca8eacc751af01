# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients on the pool's link, nodes and pods reach the pool; replies to other clients still take the default route."""

from __future__ import annotations

import pytest
from containers.assertions import TIMEOUT, assert_reached
from containers.lab import ContainerLab
from testinfra.host import Host as InfraHost

from tests.lab.delivery import all_cells


def test_clients_on_the_link_are_answered(lab: ContainerLab) -> None:
    assert_reached(lab, ["onlink"])


def test_nodes_and_pods_reach_all_services(lab: ContainerLab) -> None:
    assert_reached(lab, ["node1", "node2", "pod1", "pod2"])


def test_replies_to_other_clients_take_the_default_route(lab: ContainerLab) -> None:
    """The case has no gateway, so it does not serve these clients."""
    for one in lab.deliver(all_cells(lab, clients=["outside"], families=[6]), timeout=TIMEOUT / 2):
        assert (one.reached, one.ways) == (False, ("default",)), one


@pytest.mark.parametrize(("family", "network"), [(4, "1.2.3.0/24"), (6, "fd00:1:2:3::/64")])
def test_route_exists(host: InfraHost, family: int, network: str) -> None:
    assert f"{network} dev eth0.100" in host.check_output(f"ip -{family} route show table main proto homeward")
