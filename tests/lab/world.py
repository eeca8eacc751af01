"""Bring a lab up and take it down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from . import kube_proxy_rules, namespaces, offloads, topology
from .delivery import Cell, Delivery, all_cells, deliver
from .host import Host
from .namespaces import LabError
from .options import LabOptions
from .services import Service, services_of

STATE_FOLDER = Path("/run")
PACKAGE_FOLDER = Path(__file__).resolve().parent

# Runs in a node's fresh mount namespace. The node writes /etc, /var/lib and /run; none of that may reach the machine.
HOLDER_SCRIPT = """
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/.lab
for folder in etc var/lib; do
  mkdir -p /run/.lab/$folder/upper /run/.lab/$folder/work
  mount -t overlay -o lowerdir=/$folder,upperdir=/run/.lab/$folder/upper,workdir=/run/.lab/$folder/work lab /$folder 2>/dev/null && continue
  case $folder in
    etc) mkdir /run/.lab/copy; cp -a /etc/. /run/.lab/copy/; mount --bind /run/.lab/copy /etc;;
    *) mount -t tmpfs tmpfs /$folder;;
  esac
done
echo ready
exec sleep infinity
"""


class Lab:
    """A lab by its options. Use as a context manager, or call up() and down()."""

    def __init__(self, options: LabOptions | None = None) -> None:
        self.options = options or LabOptions()
        self.services: dict[str, Service] = services_of(self.options.same_subnet, self.options.address_socket)
        self.plans = topology.hosts(self.options)
        self.clients = topology.clients_of(self.options)

    @classmethod
    def attach(cls, prefix: str = "homeward-lab") -> Lab:
        """The running lab of this prefix. Raises LabError if there is none."""
        try:
            return cls(LabOptions.from_json((STATE_FOLDER / prefix / "options.json").read_text()))
        except FileNotFoundError:
            raise LabError(f"no lab {prefix!r} is running; bring one up with `up`") from None

    @property
    def state(self) -> Path:
        """Folder of the running lab's own notes: options, process ids, announcements."""
        return STATE_FOLDER / self.options.prefix

    def namespace(self, name: str) -> str:
        return f"{self.options.prefix}-{name}"

    def host(self, name: str) -> Host:
        """A host by its name: node1, node2, pod1, pod2 (clients), server1, server2, router, poolrouter, outside ..."""
        if name != topology.SWITCH and name not in {plan.name for plan in self.plans}:
            raise LabError(f"no host {name!r}; there are {sorted(plan.name for plan in self.plans)}")
        if name not in topology.NODES:
            return Host(name, self.namespace(name))
        return Host(name, self.namespace(name), int((self.state / f"{name}.pid").read_text()))

    @property
    def nodes(self) -> list[Host]:
        return [self.host(name) for name in topology.NODES]

    def up(self) -> Lab:
        """Build the world. What an earlier lab of this prefix left is removed first; a failure leaves nothing."""
        require_root_and_tools(self.options)
        self.down()
        try:
            self.state.mkdir(parents=True)
            (self.state / "options.json").write_text(self.options.to_json())
            self._build()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Remove everything: processes, namespaces, the state folder. Does nothing where there is nothing."""
        namespaces.delete(namespaces.existing(self.options.prefix))
        shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self) -> Lab:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.down()

    def _build(self) -> None:
        prefix, plans = self.options.prefix, self.plans
        namespaces.ip_batch(f"netns add {prefix}-{name}" for name in (topology.SWITCH, *(plan.name for plan in plans)))
        holders = {name: start_holder(self.namespace(name)) for name in topology.NODES}
        for plan in plans:
            namespaces.write_sysctls(self.namespace(plan.name), topology.sysctls(plan, self.options))
        quiet = {f"net/ipv6/conf/{scope}/disable_ipv6": 1 for scope in ("all", "default")}
        namespaces.write_sysctls(
            self.namespace(topology.SWITCH), quiet | _no_bridge_netfilter(self.namespace(topology.SWITCH))
        )
        namespaces.ip_batch([*topology.cables(plans, prefix), *topology.pod_veths(prefix)])
        namespaces.ip_batch(topology.bridges(plans, self.options), self.namespace(topology.SWITCH))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._configure_host, plans))
        for name, holder in holders.items():
            (self.state / f"{name}.pid").write_text(str(wait_for_holder(name, holder)))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda node: kube_proxy_rules.load(node, self.options, self.services), self.nodes))
        self.announce({service.name: service.announcer for service in self.services.values()})
        self._start_daemon()

    def _configure_host(self, plan: topology.HostPlan) -> None:
        namespace = self.namespace(plan.name)
        namespaces.ip_batch(topology.host_commands(plan), namespace)
        links = [link.name for link in plan.links] + [name for name in ("eth0", "pod-server", "pod-client")]
        namespaces.in_namespace(namespace, lambda: offloads.switch_off(sorted(set(links))))
        rules = topology.firewall(plan, self.options)
        if rules:
            Host(plan.name, namespace).run(["nft", "-f", "-"], input=rules)

    def announce(self, announcers: dict[str, str]) -> None:
        """Say which node announces which services' addresses (service name -> node name); the rest stays as it was.

        A node that takes an address over tells the segment at once, as MetalLB does.
        """
        path = self.state / "announcements.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(known | announcers))
        temporary.replace(path)

    def deliver(self, cells: Iterable[Cell] | None = None, timeout: float = 2.0) -> list[Delivery]:
        """Try these cells (all of them by default) with real traffic, all at once. timeout: seconds without progress."""
        return deliver(self, list(cells) if cells is not None else all_cells(self), timeout)

    def _start_daemon(self) -> None:
        """The servers and the speaker's stand-in live in one process, which ends with the lab."""
        command = [sys.executable, "-m", f"{PACKAGE_FOLDER.name}.daemon", self.options.prefix]
        log = (self.state / "daemon.log").open("w")
        process = subprocess.Popen(
            ["nsenter", f"--net={namespaces.NAMESPACE_FOLDER / self.namespace(topology.SWITCH)}", *command],
            env=os.environ | {"PYTHONPATH": str(PACKAGE_FOLDER.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.close()
        if line != "ready\n":
            raise LabError(f"the lab's servers do not start: {(self.state / 'daemon.log').read_text()}")


def start_holder(namespace: str) -> subprocess.Popen[str]:
    """Start the process that keeps a node's mount namespace. `ip netns exec` gives it one, with the node's own /sys."""
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, "sh", "-ec", HOLDER_SCRIPT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def wait_for_holder(name: str, holder: subprocess.Popen[str]) -> int:
    """Wait until the holder has made its mounts; its process id (`ip netns exec` becomes the command itself)."""
    assert holder.stdout is not None and holder.stderr is not None
    if holder.stdout.readline() != "ready\n":
        raise LabError(f"{name}: no private mounts: {holder.stderr.read()}")
    holder.stdout.close()
    holder.stderr.close()
    return holder.pid


def require_root_and_tools(options: LabOptions) -> None:
    """Raises LabError with the remedy if the machine cannot carry a lab."""
    if os.geteuid() != 0:
        raise LabError("a lab needs root: it makes network namespaces")
    tools = ["ip", "nsenter", "nft", f"iptables-{options.variant}-restore", "conntrack"]
    tools += ["ipvsadm"] if options.kube_proxy == "ipvs" else []
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise LabError(
            f"missing: {', '.join(missing)}; install iproute2 iptables nftables conntrack ipvsadm util-linux"
        )


def _no_bridge_netfilter(namespace: str) -> dict[str, str | int]:
    """Where the kernel has bridge netfilter, keep the switch's frames away from it."""
    keys = [f"net/bridge/bridge-nf-call-{kind}" for kind in ("iptables", "ip6tables", "arptables")]
    return namespaces.in_namespace(namespace, lambda: {key: 0 for key in keys if Path("/proc/sys", key).exists()})


def wait_until(condition: object, seconds: float, what: str) -> None:
    """Poll a condition; raises LabError naming what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
