# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab with systemd containers as nodes; all other hosts, services and flows are those of tests/lab."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection

from tests.lab import Lab, LabError, LabOptions, kube_proxy_rules, namespaces, topology

from . import snapshots
from .engine import Engine

PREFIX = "homeward-molecule"
LINKS_READY = "/run/links-ready"
_BOOT_SECONDS = 60.0


class ContainerLab(Lab):
    """A lab whose nodes are containers. Commands enter them through the namespaces of their first process, because an
    engine's `exec` takes a hundred times as long.

    :param images: image of each node, for up().
    :param read_only_usr: nodes whose /usr is read-only.
    """

    def __init__(
        self, options: LabOptions, images: dict[str, str] | None = None, read_only_usr: Collection[str] = ()
    ) -> None:
        super().__init__(options)
        self._engine = Engine()
        self._images = images or {}
        self._read_only_usr = read_only_usr

    @classmethod
    def attach(cls, prefix: str = PREFIX) -> ContainerLab:
        """Return the running lab. Raises LabError if there is none."""
        return cls(Lab.attach(prefix).options)

    def container(self, node: str) -> str:
        """Return the name of a node's container."""
        return f"{self.prefix}-{node}"

    def down(self) -> None:
        """Remove containers, processes, namespaces and the state folder, if they exist."""
        self._engine.remove(self.container(node) for node in topology.NODES)
        super().down()

    def restart(self, node: str) -> None:
        """Restart a node like a reboot: with new links, and with kube-proxy's rules only after systemd has started."""
        self._stop_daemon()
        self._engine.restart(self.container(node))
        plans = [plan for plan in self.plans if plan.name in (node, f"server{node[-1]}", f"pod{node[-1]}")]
        own = [plan for plan in plans if plan.name == node]
        self._remove_links(plans)
        self._take_namespace(node)
        for plan in own:
            namespaces.write_sysctls(self.namespace(plan.name), topology.sysctls(plan, self.options))
        veths = [
            line for line in topology.pod_veths(self.prefix, self.options) if f"netns {self.namespace(node)} " in line
        ]
        namespaces.ip_batch([*topology.cables(own, self.prefix), *veths])
        namespaces.ip_batch(topology.ports(own, self.options), self.namespace(topology.SWITCH))
        for plan in plans:
            self._configure_host(plan)
        self._await_links(plan.name for plan in plans)
        self._boot(node)
        kube_proxy_rules.load(self.host(node), self.options, self.services)
        self._start_daemon()

    def _remove_links(self, plans: list[topology.HostPlan]) -> None:
        """Remove the peers of a node's links now; the kernel deletes a stopped node's namespace at an unknown time."""
        for plan in plans:
            if plan.name in topology.NODES:
                ports = [f"link delete {topology.port_of(plan, link)}" for link in plan.links]
                namespaces.ip_batch(ports, self.namespace(topology.SWITCH))
            else:
                namespaces.ip_batch(["link delete eth0"], self.namespace(plan.name))

    def _build(self) -> None:
        super()._build()
        for node in topology.NODES:
            self._boot(node)
            snapshots.store_initial(self.host(node), self.state)

    def _start_holders(self) -> dict[str, subprocess.Popen[str]]:
        """Start the containers and attach the lab's names to their network namespaces."""
        for node in topology.NODES:
            read_only = node in self._read_only_usr
            self._engine.run(self.container(node), self._images[node], node, read_only_usr=read_only)
            self._take_namespace(node)
        return {}

    def _take_namespace(self, node: str) -> None:
        process = self._engine.process(self.container(node))
        name = self.namespace(node)
        namespaces.ip_batch([f"netns delete {name}", f"netns attach {name} {process}"])
        self.holder_file(node).write_text(str(process))

    def _boot(self, node: str) -> None:
        """Start systemd and wait until all units have started."""
        host = self.host(node)
        host.run(["touch", LINKS_READY])
        deadline = time.monotonic() + _BOOT_SECONDS
        while (state := host.run(["systemctl", "is-system-running"], check=False).stdout.strip()) != "running":
            if state == "degraded" or time.monotonic() > deadline:
                failed = host.run(["systemctl", "--failed", "--no-legend", "--plain"], check=False).stdout
                raise LabError(f"{node}: systemd is {state or 'missing'} after the start; failed units: {failed}")
            time.sleep(0.1)

    def _stop_daemon(self) -> None:
        """Stop the servers and speakers, whose sockets belong to namespaces that will be deleted."""
        for process in namespaces.processes_in([self.namespace(topology.SWITCH)]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            while not namespaces.has_ended(process):
                time.sleep(0.01)
