"""Common base of the labs: namespaces of one prefix, a state folder, holder processes for nodes; setup and removal."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from . import namespaces
from .holders import start_holder, wait_for_holder
from .host import Host
from .namespaces import LabError
from .waiting import wait_until

STATE_FOLDER = Path("/run")
_LINK_SECONDS = 10.0


class Site:
    """Base class of the labs. Use it as a context manager, or call up() and down()."""

    def __init__(self, prefix: str, node_addresses: dict[str, str]) -> None:
        self.prefix = prefix
        #: node name -> IPv4 address on eth0
        self.node_addresses = node_addresses
        self._children: list[subprocess.Popen[str]] = []

    @property
    def state(self) -> Path:
        """Folder with the running lab's options, process ids and announcements."""
        return STATE_FOLDER / self.prefix

    def namespace(self, name: str) -> str:
        """Name of a host's network namespace."""
        return f"{self.prefix}-{name}"

    def holder_file(self, node: str) -> Path:
        """File with the process id of a node's holder."""
        return self.state / f"{node}.pid"

    def host(self, name: str) -> Host:
        """Return a host by name."""
        holder = int(self.holder_file(name).read_text()) if name in self.node_addresses else None
        return Host(name, self.namespace(name), holder)

    @property
    def nodes(self) -> list[Host]:
        """All nodes, in order."""
        return [self.host(name) for name in self.node_addresses]

    def up(self) -> Self:
        """Set up the lab. Removes an earlier lab of the same prefix first. A failure leaves nothing behind."""
        require_root_and_tools(self.tools())
        self.down()
        try:
            self.state.mkdir(parents=True)
            self._build()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Remove processes, namespaces and the state folder, if they exist."""
        namespaces.delete(namespaces.existing(self.prefix))
        for child in self._children:
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self._children.clear()
        shutil.rmtree(self.state, ignore_errors=True)

    def processes(self) -> list[int]:
        """Ids of all processes in the lab's namespaces, including the lab's own."""
        return sorted(namespaces.processes_in(namespaces.existing(self.prefix)))

    def tools(self) -> list[str]:
        """Names of the required programs."""
        return ["ip", "nsenter", "nft", "iptables-nft-save", "iptables-legacy-save"]

    def _build(self) -> None:
        raise NotImplementedError

    def _start_holders(self) -> dict[str, subprocess.Popen[str]]:
        holders = {name: start_holder(self.namespace(name)) for name in self.node_addresses}
        self._children += holders.values()
        return holders

    def _await_holders(self, holders: dict[str, subprocess.Popen[str]]) -> None:
        for name, holder in holders.items():
            self.holder_file(name).write_text(str(wait_for_holder(name, holder)))

    def _await_links(self, hosts: Iterable[str]) -> None:
        """Wait until every link is running, which takes the kernel a moment after both ends are up."""

        def waiting(name: str) -> list[str]:
            return namespaces.in_namespace(self.namespace(name), namespaces.links_not_running)

        for name in hosts:
            wait_until(
                lambda name=name: not waiting(name),
                lambda name=name: f"{name}: {', '.join(waiting(name))} running",
                _LINK_SECONDS,
            )

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(self, *_error: object) -> None:
        self.down()


def require_root_and_tools(tools: Iterable[str]) -> None:
    """Raise LabError with the remedy if the user is not root or programs are missing."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root to create network namespaces")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = "iproute2 iptables nftables conntrack iputils-ping util-linux ipvsadm"
        raise LabError(f"missing programs: {', '.join(missing)}; install {packages}")


def no_bridge_netfilter(namespace: str) -> dict[str, str | int]:
    """Sysctls that turn bridge netfilter off for a switch, as far as the kernel has them."""
    keys = [f"net/bridge/bridge-nf-call-{kind}" for kind in ("iptables", "ip6tables", "arptables")]
    return namespaces.in_namespace(namespace, lambda: {key: 0 for key in keys if Path("/proc/sys", key).exists()})
