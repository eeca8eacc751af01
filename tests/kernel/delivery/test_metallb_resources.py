# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From MetalLB's manifests to packets: networks, interface and nodes come from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.kernel.delivery.lab import TIMEOUT, assert_all_reached, lab_of
from tests.lab import Lab
from tests.lab.delivery import all_cells
from tests.support.playbooks import Played, play
from tests.support.pools import CLUSTER

MANIFESTS = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: external, namespace: metallb-system}
spec:
  addresses: [1.2.3.7/24, "fd00:1:2:3::/64"]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: external, namespace: metallb-system}
spec:
  ipAddressPools: [external]
  interfaces: [LINK]
  nodeSelectors:
    - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [NODES]}]
"""


def run(lab: Lab, folder: Path, nodes: str, **more: Any) -> Played:
    (folder / "manifests").mkdir(exist_ok=True)
    text = MANIFESTS.replace("LINK", lab.options.pool_interface).replace("NODES", nodes)
    (folder / "manifests/pools.yaml").write_text(text)
    values = {
        "metallb_routing_pools": [{"name": "external", "gateways": ["1.2.3.1", "fd00:1:2:3::1"]}],
        "metallb_routing_metallb": {"manifests": [str(folder / "manifests")]},
        "metallb_routing_cluster": dict(CLUSTER),
        "metallb_routing_persist": False,
        **more,
    }
    return play(lab, "apply", values)


def test_manifests_lead_to_replies_through_the_gateway(tmp_path: Path) -> None:
    with lab_of(kube_proxy="nftables", rp_filter=1) as lab:
        untouched = lab.host("node2").snapshot()
        played = run(lab, tmp_path, "node1")
        assert played.code == 0, played.text
        assert "skipping: [node2]" in played.text
        assert "nodes that no L2Advertisement of MetalLB selects for external are skipped" in played.text
        assert untouched.difference(lab.host("node2").snapshot()) == ""
        assert (played.counts["node1"]["changed"], played.counts["node2"]["changed"]) == (1, 0)
        played = run(lab, tmp_path, "node1, node2")
        assert (played.counts["node1"]["changed"], played.counts["node2"]["changed"]) == (0, 1), played.text
        assert_all_reached(lab, lab.deliver(all_cells(lab, clients=["outside", "onlink", "lan"]), timeout=TIMEOUT))


def test_errors_and_warnings_of_a_run_tell_the_manifest(tmp_path: Path) -> None:
    with lab_of() as lab:
        pools = [{"name": "external", "gateways": ["9.9.9.9"]}, {"name": "externl", "gateways": ["1.2.3.1"]}]
        played = run(lab, tmp_path, "node1, node2", metallb_routing_pools=pools)
        assert played.code == 2
        assert "pools[1].name (pool externl): networks are not given, and no IPAddressPool has the name" in played.text
        assert "Did you mean external?" in played.text
        played = run(lab, tmp_path, "node1, node2", metallb_routing_pools=pools[:1])
        assert "pools[0].gateways[0] (pool external): 9.9.9.9 is not inside any of " in played.text
        assert f"{tmp_path}/manifests/pools.yaml document 1 (IPAddressPool external) spec.addresses" in played.text
        other = [{"name": "other", "networks": ["1.2.4.0/24"], "interface": lab.options.pool_interface}]
        played = run(lab, tmp_path, "node1, node2", metallb_routing_pools=other)
        assert played.text.count("pool external of MetalLB") == 1, "once for all nodes"
        played = run(lab, tmp_path, "node1, node2", metallb_routing_pools=[*pools[:1], 7])
        assert "pools[1]: 7 is not a mapping" in played.text
