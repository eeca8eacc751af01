# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run on the nodes of a lab, and what other tools than ours see there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab import Cell, Delivery, Host, Lab
from tests.lab.delivery import table
from tests.support.modules import Answer, change, run
from tests.support.pools import CLUSTER, EXTERNAL

VLAN = {"parent": "eth0", "id": 100}
#: Seconds without any progress after which a flow counts as lost: the processor here is an emulated one.
LOST_AFTER = 60.0
#: The same where most flows are lost, as they should be: they cost this time, and those that get through take a tenth.
SOON_LOST_AFTER = 10.0


@dataclass(frozen=True)
class Matrix:
    """One delivery matrix, for the closing lines."""

    title: str
    tried: int
    reached: int
    table: str


#: All that were tried in this run, in order.
matrices: list[Matrix] = []


def declared(state: str = "present", mode: str = "auto", **pool: Any) -> dict[str, Any]:
    """Return the parameters of pool_routing for the lab's pool on a VLAN link that is to be made, changed as given."""
    cluster = {**CLUSTER, "kube_proxy_mode": mode, "node_addresses": ["192.168.1.11", "192.168.1.12"]}
    return {"state": state, "pools": [{**EXTERNAL, "vlan": VLAN, **pool}], "cluster": cluster, "persist": False}


class Pristine:
    """The nodes as a lab made them. One snapshot of each serves all tests: taking one is what costs most here."""

    def __init__(self, lab: Lab) -> None:
        self._snapshots = {host.name: host.snapshot() for host in lab.nodes}

    def changes(self, node: Host) -> str:
        """Return how the node differs from what it was; ``""`` where it does not."""
        return self._snapshots[node.name].difference(node.snapshot())


def apply(node: Host, parameters: Mapping[str, Any], *, check: bool = False) -> Answer:
    """Run pool_routing, which must not fail."""
    return change(node, "pool_routing", parameters, check=check)


def refusal(node: Host, parameters: Mapping[str, Any]) -> str:
    """Run pool_routing, which must fail; return its message. That it wrote nothing its test has to see."""
    answer = run(node, "pool_routing", parameters)
    assert answer.get("failed"), answer
    assert "Traceback" not in answer["msg"], answer["msg"]
    return str(answer["msg"])


def apply_everywhere(lab: Lab, parameters: Mapping[str, Any]) -> list[Answer]:
    """Run pool_routing on all nodes; one after the other, because each run is a fork of this process."""
    return [apply(node, parameters) for node in lab.nodes]


def link(node: Host, name: str) -> dict[str, Any]:
    """Return what ``ip`` says about a link; nothing where there is none."""
    return next((one for one in node.ip_json("link show") if one["ifname"] == name), {})


def vlan_of(node: Host, name: str) -> tuple[str, int, str]:
    """Return parent, id and protocol of a VLAN link."""
    seen = link(node, name)
    information = seen["linkinfo"]
    assert information["info_kind"] == "vlan", seen
    return seen["link"], information["info_data"]["id"], information["info_data"]["protocol"]


def deliver(lab: Lab, cells: Iterable[Cell], title: str, timeout: float = LOST_AFTER) -> list[Delivery]:
    """Try the cells, and keep what came of them for the closing lines."""
    deliveries = lab.deliver(cells, timeout)
    reached = sum(delivery.reached for delivery in deliveries)
    matrices.append(Matrix(title, len(deliveries), reached, table(deliveries)))
    return deliveries


def assert_the_right_way(deliveries: Iterable[Delivery]) -> None:
    """Assert that every cell was reached, and that no reply took another way than home."""
    for delivery in deliveries:
        way = "pool" if delivery.cell.client in ("outside", "lan") else "direct"
        assert (delivery.reached, delivery.ways) == (True, (way,)), delivery


def has_endpoint(lab: Lab, cell: Cell) -> bool:
    """Whether IPVS on the client's node has an endpoint for the service: a Local one counts its own node's only."""
    service = lab.services[cell.service]
    return not service.local or cell.client[:-1] not in ("node", "pod") or bool(service.local_endpoints(cell.client))
