# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab with containers for nodes: all other hosts, services and flows are those of tests/lab."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Host, Lab, LabError, LabOptions, kube_proxy_rules, namespaces, topology

from . import snapshots
from .engine import Engine

PREFIX = "homeward-molecule"
PLUGGED = "/run/links-are-plugged"
_BOOT_SECONDS = 60.0


@dataclass(frozen=True)
class ContainerHost(Host):
    """A node that is a container; commands run as its own processes do."""

    def command(self, command: Sequence[str] | str) -> list[str]:
        """The command line that runs this in the container, from outside. A string is given to sh -ec."""
        argv = ["sh", "-ec", command] if isinstance(command, str) else [str(word) for word in command]
        return [*enter(self.holder), *argv]


def enter(process: int | None) -> list[str]:
    """The words before a command that run it in the container of this process: at a hundredth of an engine's `exec`."""
    return ["nsenter", f"--target={process}", "--net", "--mount", "--pid", "--uts", "--ipc", "--"]


class ContainerLab(Lab):
    """A lab whose nodes run systemd.

    :param images: of each node; only up() needs them.
    :param read_only_usr: the nodes on which nothing can be written below /usr.
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
        """The running lab. Raises LabError if there is none."""
        return cls(Lab.attach(prefix).options)

    def host(self, name: str) -> Host:
        """A host by its name; nodes are containers."""
        host = super().host(name)
        return ContainerHost(host.name, host.namespace, host.holder) if name in topology.NODES else host

    def container(self, node: str) -> str:
        """The name of a node's container."""
        return f"{self.prefix}-{node}"

    def down(self) -> None:
        """Remove everything: containers, processes, namespaces, the state folder. Does nothing where there is nothing."""
        self._engine.remove(self.container(node) for node in topology.NODES)
        super().down()

    def restart(self, node: str) -> None:
        """Shut a node down and start it again, as a reboot: its links are new, kube-proxy comes after systemd."""
        self._stop_daemon()
        self._engine.restart(self.container(node))
        plans = [plan for plan in self.plans if plan.name in (node, f"server{node[-1]}", f"pod{node[-1]}")]
        own = [plan for plan in plans if plan.name == node]
        self._unplug(plans)
        self._take_namespace(node)
        for plan in own:
            namespaces.write_sysctls(self.namespace(plan.name), topology.sysctls(plan, self.options))
        veths = [line for line in topology.pod_veths(self.prefix) if f"netns {self.namespace(node)} " in line]
        namespaces.ip_batch([*topology.cables(own, self.prefix), *veths])
        namespaces.ip_batch(topology.ports(own, self.options), self.namespace(topology.SWITCH))
        for plan in plans:
            self._configure_host(plan)
        self._await_links(plan.name for plan in plans)
        self._boot(node)
        kube_proxy_rules.load(self.host(node), self.options, self.services)
        self._start_daemon()

    def _unplug(self, plans: list[topology.HostPlan]) -> None:
        """Remove the far ends of a node's links. They would go with its old namespace, but nobody knows when."""
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
            snapshots.keep(self.host(node), self.state)

    def _start_holders(self) -> dict[str, subprocess.Popen[str]]:
        """Start the containers, and give their network namespaces the names under which the lab looks for the nodes'."""
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
        """Let systemd start, and wait until it has started everything."""
        host = self.host(node)
        host.run(["touch", PLUGGED])
        deadline = time.monotonic() + _BOOT_SECONDS
        while (state := host.run(["systemctl", "is-system-running"], check=False).stdout.strip()) != "running":
            if state == "degraded" or time.monotonic() > deadline:
                failed = host.run(["systemctl", "--failed", "--no-legend", "--plain"], check=False).stdout
                raise LabError(f"{node}: systemd is {state or 'not there'} after its start; failed units: {failed}")
            time.sleep(0.1)

    def _stop_daemon(self) -> None:
        """End the servers and speakers, whose sockets belong to namespaces that will be gone."""
        for process in namespaces.processes_in([self.namespace(topology.SWITCH)]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            while Path(f"/proc/{process}/ns/net").exists() and not _ended(process):
                time.sleep(0.01)


def _ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
