"""The lab: creates the hosts of topology.py, loads kube-proxy's rules on the nodes, starts servers and speakers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import kernel_features, kube_proxy_rules, namespaces, offloads, topology
from .base import STATE_FOLDER, Site, no_bridge_netfilter
from .delivery import Cell, Delivery, all_cells, deliver
from .host import Host
from .namespaces import LabError
from .options import LabOptions
from .services import Service, services_of
from .waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
ANNOUNCEMENTS, ANNOUNCED = "announcements.json", "announced"
_ANNOUNCE_SECONDS = 20.0


@dataclass(frozen=True)
class Announcements:
    """What the daemon's speakers shall do.

    announcers: service name -> node that announces it. touched: the services that changed last. changes, restarts, scans:
    how often announcements changed, speakers were restarted, and speakers scanned for links.
    """

    announcers: dict[str, str]
    touched: Sequence[str] = ()
    changes: int = 0
    restarts: int = 0
    scans: int = 0


class Lab(Site):
    """A lab with two nodes, their routers, pods and clients."""

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        super().__init__(self.options.prefix, {name: f"192.168.1.1{name[-1]}" for name in topology.NODES})
        self.services: dict[str, Service] = services_of(
            self.options.same_subnet, self.options.address_socket, self.options.second_pool
        )
        self.plans = topology.hosts(self.options)
        self.clients = topology.clients_of(self.options)

    @classmethod
    def attach(cls, prefix: str = LabOptions.prefix) -> Lab:
        """Return the running lab with this prefix. Raises LabError if there is none."""
        try:
            return cls(LabOptions.from_json((STATE_FOLDER / prefix / "options.json").read_text()))
        except FileNotFoundError:
            raise LabError(f"no lab {prefix!r} is running; start one with `up`") from None

    def host(self, name: str) -> Host:
        """Return a host by name: node1, node2, pod1, pod2 (clients), server1, server2, router, poolrouter, outside ..."""
        known = [topology.SWITCH, *(plan.name for plan in self.plans)]
        if name not in known:
            raise LabError(f"unknown host {name!r}; known: {', '.join(known)}")
        return super().host(name)

    def deliver(self, cells: Iterable[Cell] | None = None, timeout: float = 2.0) -> list[Delivery]:
        """Run real flows for these cells (default: all), all at once. Return the results in the same order.

        timeout: seconds without progress after which a flow counts as lost.
        """
        return deliver(self, list(cells) if cells is not None else all_cells(self), timeout)

    def announce(self, announcers: dict[str, str]) -> None:
        """Change which nodes announce these services (service name -> node name) and wait until it is done.

        A node that takes over an address announces it immediately, as MetalLB does. A service that stays on its node is
        processed again, which matters if its link was missing before.
        """
        now = self._announcements()
        self._change(
            replace(now, announcers=now.announcers | announcers, touched=tuple(announcers), changes=now.changes + 1)
        )

    def restart_speakers(self) -> None:
        """Restart the speakers of all nodes, which then find all links and announce all services, and wait until it is done."""
        now = self._announcements()
        self._change(replace(now, restarts=now.restarts + 1))

    def scan_links(self) -> None:
        """Have all speakers look for links now, which they also do every second, and wait until it is done."""
        now = self._announcements()
        self._change(replace(now, scans=now.scans + 1))

    def speaker_log(self) -> list[str]:
        """Return the lines that the speakers have logged."""
        return (self.state / "daemon.log").read_text().splitlines()

    def _announcements(self) -> Announcements:
        return Announcements(**json.loads((self.state / ANNOUNCEMENTS).read_text()))

    def _change(self, announcements: Announcements) -> None:
        text = self._write_announcements(announcements)
        explain = f"the lab's speakers respond; see {self.state / 'daemon.log'}"
        wait_until(lambda: (self.state / ANNOUNCED).read_text() == text, explain, _ANNOUNCE_SECONDS)

    def _write_announcements(self, announcements: Announcements) -> str:
        text = json.dumps(asdict(announcements))
        temporary = self.state / f"{ANNOUNCEMENTS}.new"
        temporary.write_text(text)
        temporary.replace(self.state / ANNOUNCEMENTS)
        return text

    def tools(self) -> list[str]:
        """Names of the required programs."""
        own = ["ipvsadm"] if self.options.kube_proxy == "ipvs" else []
        return [*super().tools(), f"iptables-{self.options.variant}-restore", *own]

    def _build(self) -> None:
        (self.state / "options.json").write_text(self.options.to_json())
        kernel_features.load_connection_tracking()
        switch, names = self.namespace(topology.SWITCH), [plan.name for plan in self.plans]
        namespaces.ip_batch(f"netns add {self.namespace(name)}" for name in (topology.SWITCH, *names))
        holders = self._start_holders()
        for plan in self.plans:
            namespaces.write_sysctls(self.namespace(plan.name), topology.sysctls(plan, self.options))
        namespaces.write_sysctls(switch, topology.SWITCH_SYSCTLS | no_bridge_netfilter(switch))
        namespaces.ip_batch(topology.bridges(), switch)
        namespaces.ip_batch([*topology.cables(self.plans, self.prefix), *topology.pod_veths(self.prefix, self.options)])
        namespaces.ip_batch(topology.ports(self.plans, self.options), switch)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._configure_host, self.plans))
        self._await_holders(holders)
        self._await_links(plan.name for plan in self.plans)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda node: kube_proxy_rules.load(node, self.options, self.services), self.nodes))
        self._write_announcements(
            Announcements({service.name: service.announcer for service in self.services.values()})
        )
        self._start_daemon()

    def _configure_host(self, plan: topology.HostPlan) -> None:
        namespace = self.namespace(plan.name)
        namespaces.ip_batch(topology.host_commands(plan), namespace)
        namespaces.in_namespace(namespace, lambda: offloads.switch_off([name for _, name in socket.if_nameindex()]))
        rules = topology.firewall(plan, self.options)
        if rules:
            Host(plan.name, namespace).run(["nft", "-f", "-"], stdin=rules)

    def _start_daemon(self) -> None:
        """Start the process with the servers and the speakers; it ends with the lab."""
        switch = namespaces.NAMESPACE_FOLDER / self.namespace(topology.SWITCH)
        log = self.state / "daemon.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                ["nsenter", f"--net={switch}", sys.executable, "-m", "tests.lab.daemon", self.prefix],
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                text=True,
            )
        self._children.append(process)
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise LabError(f"the lab's servers failed to start: {log.read_text()}")
