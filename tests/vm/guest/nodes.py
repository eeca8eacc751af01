# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules on the nodes of a lab, and read their state with independent tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab import Cell, Delivery, Host, Lab
from tests.lab.delivery import table
from tests.support.modules import Answer, change, run
from tests.support.pools import CLUSTER, EXTERNAL

VLAN = {"parent": "eth0", "id": 100}
#: Seconds without progress after which a flow counts as lost; the processor may be emulated.
TIMEOUT = 60.0
#: The same for matrices in which most flows must be lost and cost this time; successful ones need a tenth of it.
LOST_TIMEOUT = 10.0


@dataclass(frozen=True)
class Matrix:
    """A delivery matrix for the summary."""

    title: str
    tried: int
    reached: int
    table: str


#: All matrices of this run, in order.
matrices: list[Matrix] = []


def declared(state: str = "present", mode: str = "auto", **pool: Any) -> dict[str, Any]:
    """Return parameters of pool_routing for the lab's pool with a VLAN link; ``pool`` overrides keys of the pool."""
    cluster = {**CLUSTER, "kube_proxy_mode": mode, "node_addresses": ["192.168.1.11", "192.168.1.12"]}
    return {"state": state, "pools": [{**EXTERNAL, "vlan": VLAN, **pool}], "cluster": cluster, "persist": False}


class Baseline:
    """The initial state of all nodes. One snapshot serves all tests, because snapshots are expensive here."""

    def __init__(self, lab: Lab) -> None:
        self._snapshots = {host.name: host.snapshot() for host in lab.nodes}

    def changes(self, node: Host) -> str:
        """Return a diff from the node's initial state; ``""`` if it is unchanged."""
        return self._snapshots[node.name].difference(node.snapshot())


def apply(node: Host, parameters: Mapping[str, Any], *, check: bool = False) -> Answer:
    """Run pool_routing and require success."""
    return change(node, "pool_routing", parameters, check=check)


def refusal(node: Host, parameters: Mapping[str, Any]) -> str:
    """Run pool_routing, require a failure and return its message."""
    answer = run(node, "pool_routing", parameters)
    assert answer.get("failed"), answer
    assert "Traceback" not in answer["msg"], answer["msg"]
    return str(answer["msg"])


def apply_everywhere(lab: Lab, parameters: Mapping[str, Any]) -> list[Answer]:
    """Run pool_routing on all nodes, one after the other, and restart the speakers, which may have lacked the link."""
    answers = [apply(node, parameters) for node in lab.nodes]
    lab.restart_speakers()
    return answers


def link(node: Host, name: str) -> dict[str, Any]:
    """Return a link as ``ip -json`` shows it; empty if it does not exist."""
    return next((one for one in node.ip_json("link show") if one["ifname"] == name), {})


def vlan_of(node: Host, name: str) -> tuple[str, int, str]:
    """Return parent, id and protocol of a VLAN link."""
    seen = link(node, name)
    information = seen["linkinfo"]
    assert information["info_kind"] == "vlan", seen
    return seen["link"], information["info_data"]["id"], information["info_data"]["protocol"]


def deliver(lab: Lab, cells: Iterable[Cell], title: str, timeout: float = TIMEOUT) -> list[Delivery]:
    """Run flows for the cells, and record the matrix for the summary."""
    deliveries = lab.deliver(cells, timeout)
    reached = sum(delivery.reached for delivery in deliveries)
    matrices.append(Matrix(title, len(deliveries), reached, table(deliveries)))
    return deliveries


def has_endpoint(lab: Lab, cell: Cell) -> bool:
    """Whether the cell has an endpoint in IPVS mode: not a node's own process to a Local service without one there."""
    service = lab.services[cell.service]
    return not service.local or not cell.client.startswith("node") or bool(service.local_endpoints(cell.client))
