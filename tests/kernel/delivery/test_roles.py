# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role of each case, run by ``ansible-playbook``, leads to the deliveries of its case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kernel.delivery.lab import LOST_TIMEOUT, TIMEOUT, assert_all_reached, assert_matrix, lab_of, pool_of, try_all
from tests.lab import Cell, Lab
from tests.lab.delivery import BEHIND_ROUTERS, all_cells
from tests.lab.services import SAME_SUBNET_POOL
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER


def play_role(lab: Lab, role: str, pool: Mapping[str, Any], folder: Path, *options: str) -> Played:
    """Run a playbook with only the role, and its own variable for its pools."""
    playbook = [{"hosts": "nodes", "gather_facts": False, "roles": [f"homeward.metallb_routing.{role}"]}]
    path = folder / f"{role}.yml"
    path.write_text(json.dumps(playbook))
    played = play(lab, str(path), {f"{role}_pools": [pool], "metallb_routing_cluster": CLUSTER}, *options)
    assert played.code == 0, played.text
    return played


def assert_refused_as_sources(lab: Lab, program: str, *addresses: str) -> None:
    """Assert that the nodes' addresses, which the role takes from the inventory, are dropped on the pool's link."""
    rules = lab.host("node1").run(f"{program}-{lab.options.variant} -t raw -S").stdout.splitlines()
    refused = [rule for rule in rules if rule.endswith("-j DROP")]
    assert all(any(f" -s {address} " in rule for rule in refused) for address in addresses), rules


def test_policy_routing_reaches_everything(tmp_path: Path) -> None:
    with lab_of(kube_proxy="nftables", rp_filter=1) as lab:
        assert play_role(lab, "policy_routing", pool_of(lab), tmp_path).changed() == 2
        assert_matrix(lab)
        assert_refused_as_sources(lab, "iptables", "192.168.1.11/32", "192.168.1.12/32")
        assert_refused_as_sources(lab, "ip6tables", "fd00:192:168:1::11/128", "fd00:192:168:1::12/128")


def test_source_routing_reaches_everything(tmp_path: Path) -> None:
    """If kube-proxy translates the destination before routing, this case reaches as much as policy_routing."""
    with lab_of(rp_filter=2) as lab:
        play_role(lab, "source_routing", pool_of(lab), tmp_path)
        assert_matrix(lab)


def test_onlink_route_reaches_clients_on_the_link(tmp_path: Path) -> None:
    """Nodes and pods too; outside clients reach nothing."""
    with lab_of(kube_proxy="nftables", rp_filter=1) as lab:
        on_link = Cell("onlink", "cl-p1")
        assert not lab.deliver([on_link], timeout=LOST_TIMEOUT)[0].reached
        play_role(lab, "onlink_route", pool_of(lab, gateways=None), tmp_path)
        inside = [cell for cell in all_cells(lab) if cell.client not in BEHIND_ROUTERS]
        assert_all_reached(lab, lab.deliver(inside, timeout=TIMEOUT))
        for one in lab.deliver(all_cells(lab, clients=["outside"]), timeout=LOST_TIMEOUT):
            assert (one.reached, "pool" in one.ways) == (False, False), one


def test_same_subnet_changes_nothing_and_reaches_everything(tmp_path: Path) -> None:
    """Except for the name of the protocol."""
    with lab_of(same_subnet=True, rp_filter=1) as lab:
        before = [node.snapshot() for node in lab.nodes]
        pool = pool_of(lab, networks=list(SAME_SUBNET_POOL.values()), gateways=None)
        play_role(lab, "same_subnet", pool, tmp_path)
        for node, state in zip(lab.nodes, before, strict=True):
            assert state.difference(node.snapshot()) == ""
        assert_all_reached(lab, try_all(lab))
