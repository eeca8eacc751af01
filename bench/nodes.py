# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A light lab with nodes and pools, and runs of ansible-playbook on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from bench.measure import Cost, cost_of_process
from tests.lab import inventory
from tests.lab.many_nodes import ManyNodes
from tests.support import systemctl
from tests.support.playbooks import environment
from tests.support.pools import CLUSTER


def pools(count: int, *, ipv6: bool = True) -> list[dict[str, Any]]:
    """Return pools with a network per family, each with its own link and gateway."""
    return [
        {
            "name": f"pool{number}",
            "networks": [f"20.0.{number}.0/24", *([f"fd00:20:{number}::/64"] if ipv6 else [])],
            "interface": f"eth0.{100 + number}",
            "gateways": [f"20.0.{number}.1", *([f"fd00:20:{number}::1"] if ipv6 else [])],
        }
        for number in range(count)
    ]


class Nodes:
    """Nodes of a light lab with links for a number of pools."""

    def __init__(self, count: int, pool_count: int, prefix: str = "homeward-bench") -> None:
        self.site = ManyNodes(count, prefix)
        self._pool_count = pool_count
        self._folder = TemporaryDirectory(prefix="homeward-")
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Nodes:
        self.site.up()
        for name in self.site.node_addresses:
            links = [f"eth0.{100 + number}" for number in range(1, self._pool_count)]  # eth0.100 exists
            lines = [f"link add {link} type veth peer name peer{link[5:]}" for link in links]
            lines += [f"link set {end} up" for link in links for end in (link, f"peer{link[5:]}")]
            text = "".join(f"{line}\n" for line in lines)
            subprocess.run(["ip", "-n", self.site.namespace(name), "-batch", "-"], input=text, text=True, check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.site.down()
        self._folder.cleanup()

    def fake_systemd(self) -> None:
        """Make the nodes look like systemd machines, so that runs persist their state."""
        for node in self.site.nodes:
            systemctl.install(node)

    def play(
        self,
        playbook: str | Sequence[Mapping[str, Any]],
        values: Mapping[str, Any],
        *options: str,
        python: str = inventory.DEFAULT_PYTHON,
        expected_output: str = "",
    ) -> Callable[[], Cost]:
        """Return a function that runs a playbook of the collection, by name, or tasks on all nodes.

        :param python: interpreter of the nodes.
        :param expected_output: text that the output must contain.
        """
        number = len(list(self.folder.iterdir()))
        declared = self.folder / f"{number}.json"
        declared.write_text(json.dumps(dict(values)))
        hosts = inventory.write(self.site, self.folder / f"{number}-hosts.yml", python)
        if isinstance(playbook, str):
            name = f"homeward.metallb_routing.{playbook}"
        else:
            book = self.folder / f"{number}.yml"
            book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": list(playbook)}]))
            name = str(book)
        command = ["ansible-playbook", "-i", str(hosts), "-e", f"@{declared}", name, *options]
        # As on a user's machine, Python caches compiled modules, but in a temporary folder
        cache = {"PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}
        inherited = {name: value for name, value in environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
        return lambda: cost_of_process(command, {**inherited, **cache}, expected_output)


def declared(of: Iterable[Mapping[str, Any]], addresses: Iterable[str], **more: Any) -> dict[str, Any]:
    """Return the variables of the playbooks for pools and node addresses."""
    cluster = {**CLUSTER, "node_addresses": list(addresses), "kube_proxy_mode": "iptables"}
    return {"metallb_routing_pools": list(of), "metallb_routing_cluster": cluster, **more}


BARE_MODULE = (
    {
        "homeward.metallb_routing.pool_routing": {
            "pools": "{{ metallb_routing_pools }}",
            "cluster": "{{ metallb_routing_cluster }}",
            "persist": "{{ metallb_routing_persist }}",
        }
    },
)
