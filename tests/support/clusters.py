# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a cluster for the substitute of kubectl, and what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KUBECTL = Path(__file__).with_name("kubectl.py")
KINDS = {
    "ipaddresspools": "IPAddressPool",
    "l2advertisements": "L2Advertisement",
    "bgpadvertisements": "BGPAdvertisement",
}


def metallb(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a resource of MetalLB."""
    metadata = {"name": name, "namespace": "metallb-system"}
    return {"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def node(name: str, *addresses: str, **labels: str) -> dict[str, Any]:
    """Return a node of the cluster."""
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
    status = {"addresses": [*listed, {"type": "Hostname", "address": name}], "images": [{"names": ["pause"]}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}


def definitions() -> list[dict[str, Any]]:
    """Return the definitions of MetalLB's kinds, which its installation creates."""
    return [
        {
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.metallb.io"},
            "spec": {"names": {"plural": plural, "kind": kind}},
        }
        for plural, kind in KINDS.items()
    ]


class FakeCluster:
    """A cluster in a file.

    :param folder: of the test.
    """

    def __init__(self, folder: Path, objects: Sequence[Mapping[str, Any]], *, installed: bool = True) -> None:
        self.file = folder / "cluster.json"
        self.file.write_text(json.dumps([*(definitions() if installed else []), *objects]))
        config = folder / "kubeconfig"
        config.write_text("")
        self.options = {"kubectl": f"{KUBECTL} {self.file}", "kubeconfig": str(config)}

    def calls(self) -> list[list[str]]:
        """Return the arguments of every call of kubectl."""
        file = self.file.with_suffix(".calls")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def objects(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the objects of a kind by name."""
        return {one["metadata"]["name"]: one for one in json.loads(self.file.read_text()) if one["kind"] == kind}

    def labels(self, prefix: str) -> dict[str, dict[str, str]]:
        """Return the labels of each node that begin with the prefix, without it."""
        return {
            name: {
                key.removeprefix(prefix): value
                for key, value in one["metadata"]["labels"].items()
                if key.startswith(prefix)
            }
            for name, one in self.objects("Node").items()
        }
