# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are configured first: those with pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import InputError
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.cluster_addresses import Reader
from ansible_collections.homeward.metallb_routing.plugins.plugin_utils.host_variables import with_pools_first
from tests.unit.plugin_utils.test_cluster_addresses import HostVars

POOLS = [{"name": "external"}]


def ordered(hosts: Mapping[str, Mapping[str, Any]], **play_variables: Any) -> list[str]:
    return with_pools_first(list(hosts), Reader(HostVars(hosts)), play_variables)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ({"n1": {}, "n2": {"metallb_routing_pools": POOLS}}, ["n2", "n1"]),
        ({"n1": {"metallb_routing_pools": []}, "n2": {"policy_routing_pools": POOLS}, "n3": {}}, ["n2", "n1", "n3"]),
        ({"n1": {"same_subnet_pools": POOLS}, "n2": {"metallb_routing_pools": POOLS}}, ["n1", "n2"]),
        ({"n1": {"metallb_routing_pools": None}, "n2": {"metallb_routing_pools": "{{ missing }}"}}, ["n2", "n1"]),
        ({"n1": {}, "n2": {"metallb_routing_pools": 7}}, ["n2", "n1"]),  # the run for the host reports it
    ],
)
def test_hosts_with_pools_come_first(hosts: Mapping[str, Mapping[str, Any]], expected: list[str]) -> None:
    assert ordered(hosts) == expected


def test_pools_of_the_play_are_those_of_all_hosts() -> None:
    assert ordered({"n1": {}, "n2": {}}, metallb_routing_pools=POOLS) == ["n1", "n2"]


@pytest.mark.parametrize(("hosts", "whose"), [({"n1": {}}, "for n1"), ({"n1": {}, "n2": {}}, "for any of the 2 hosts")])
def test_a_run_without_pools_is_refused(hosts: Mapping[str, Mapping[str, Any]], whose: str) -> None:
    with pytest.raises(InputError, match=f"^metallb_routing_pools: no pool is declared {whose}. Declare the pools"):
        ordered(hosts)


def test_the_variables_of_a_host_are_combined_once() -> None:
    hostvars = HostVars({f"n{number}": {"metallb_routing_pools": POOLS} for number in range(9)})
    with_pools_first(list(hostvars.hosts), Reader(hostvars), {})
    assert set(hostvars.combined.values()) == {1}
