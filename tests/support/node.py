# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node to run modules on, with a network, a /run and an /etc of its own.

eth0 192.168.1.11, fd00:192:168:1::11 (default routes)    eth0.100, eth0.200, eth1 without an address
eth2 172.16.0.11, fd00:172::11
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import LOCK_FILE
from tests.lab import namespaces
from tests.lab.base import Site
from tests.lab.host import Host
from tests.lab.snapshot import Snapshot, assert_same
from tests.lab.topology import Link, mac
from tests.support import modules
from tests.support.modules import Answer

Result = TypeVar("Result")
NAMES = "/etc/iproute2"
MANAGED_FILES = (
    "/etc/iproute2/rt_protos.d/homeward.conf",
    "/etc/systemd/system/homeward*",
    "/var/lib/homeward.metallb_routing",
)
LINKS = (
    Link("eth0", "lan", mac(1, 11), ("192.168.1.11/24", "fd00:192:168:1::11/64")),
    Link("eth0.100", "pool", mac(2, 11), ()),
    Link("eth0.200", "pool", mac(3, 11), ()),
    Link("eth1", "pool", mac(4, 11), ()),
    Link("eth2", "other", mac(5, 11), ("172.16.0.11/24", "fd00:172::11/64")),
)
_ROUTES = ("route add default via 192.168.1.1", "route add default via fd00:192:168:1::1")
#: Explicit, as a new namespace inherits the machine's; `default` before there are links, for those.
_SYSCTLS: dict[str, str | int] = {
    "net/ipv4/ip_forward": 1,
    **{f"net/ipv4/conf/{scope}/{name}": 0 for scope in ("all", "default") for name in ("rp_filter", "src_valid_mark")},
    **{f"net/ipv4/conf/all/{name}": 0 for name in ("arp_ignore", "arp_announce")},
    **{f"net/ipv6/conf/{scope}/{name}": 0 for scope in ("all", "default") for name in ("disable_ipv6", "accept_dad")},
    "net/ipv6/conf/default/accept_ra": 1,
    "net/ipv6/conf/default/router_solicitations": 0,
}
_QUIET: dict[str, str | int] = {f"net/ipv6/conf/{scope}/disable_ipv6": 1 for scope in ("all", "default")}
_numbers = itertools.count()


class Node(Site):
    """One node without traffic. Use as a context manager; what runs in it is a child of this process."""

    def __init__(self) -> None:
        super().__init__(f"homeward-engine-{os.getpid()}-{next(_numbers)}", {"node1": "192.168.1.11"})

    @property
    def host(self) -> Host:  # type: ignore[override] - there is one
        """The node, for commands."""
        return super().host("node1")

    @property
    def name(self) -> str:
        """The node's network namespace."""
        return self.namespace("node1")

    def _build(self) -> None:
        peer = self.namespace("peer")
        namespaces.ip_batch(f"netns add {name}" for name in (self.name, peer))
        holders = self._start_holders()
        namespaces.write_sysctls(self.name, _SYSCTLS)
        namespaces.write_sysctls(peer, _QUIET)
        # Before the cables: the kernel takes up to a second to call a veth running whose ends have the same index.
        namespaces.ip_batch(["link add filler type bridge"], peer)
        namespaces.ip_batch(
            f"link add {link.name} netns {self.name} address {link.mac} type veth peer name {link.name} netns {peer}"
            for link in LINKS
        )
        namespaces.ip_batch((f"link set {link.name} up" for link in LINKS), peer)
        namespaces.ip_batch(["link set lo up", *(line for link in LINKS for line in _lines(link)), *_ROUTES], self.name)
        self._await_holders(holders)
        # A copy, which does not change with the machine's; without what the collection has installed on the machine.
        self.host.run(
            f"cp -a {NAMES} /run/.lab/; mount --bind /run/.lab/iproute2 {NAMES}; rm -rf {' '.join(MANAGED_FILES)}"
        )
        self._await_links(["node1"])

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call the function on the node, in a child process, and return its result or raise what it raised."""
        return self.host.call_in_child(function, *arguments)

    def module(self, module: str, parameters: Mapping[str, Any], **options: Any) -> Answer:
        """Run a module of the collection on the node (see :func:`modules.run`)."""
        return modules.run(self.host, module, parameters, **options)

    def change(self, module: str, parameters: Mapping[str, Any], **options: Any) -> Answer:
        """Run a module that must not fail."""
        return modules.change(self.host, module, parameters, **options)

    def refuse(self, module: str, parameters: Mapping[str, Any], **options: Any) -> Answer:
        """Run a module that must fail, in check mode and without, and leave the node byte-identical."""
        before = self.snapshot()
        answers = [self.module(module, parameters, check=check, **options) for check in (True, False)]
        for answer in answers:
            assert answer.get("failed"), answer
            assert "Traceback" not in answer["msg"], answer["msg"]
        assert answers[0] == answers[1], "check mode says something else"
        assert_same(before, self.snapshot())
        return answers[1]

    def ip_json(self, line: str) -> Any:
        """Return the output of ``ip -details -json``: ``-6 route show table all``."""
        return self.host.ip_json(line)

    def snapshot(self) -> Snapshot:
        """Take a snapshot of everything that a module may change: the kernel's state by other tools, and files."""
        return self.host.snapshot().replaced(files="\n".join(self._files()))

    def _files(self) -> Iterator[str]:
        """Yield a line for each file and folder of /run, and each file that differs from the machine's."""
        run = self.host.path("/run")
        for path in sorted(run.rglob("*")):
            inside = path.relative_to(run)
            if inside.parts[0] not in (".lab", "lock", "xtables.lock", Path(LOCK_FILE).name):
                yield _described(path, str(inside))
        copies = {NAMES: "iproute2", "/etc": "etc/upper", "/var/lib": "var/lib/upper"}
        for folder, copy in copies.items():
            yield from (
                _described(path, f"{folder}/{path.relative_to(run / '.lab' / copy)}")
                for path in sorted((run / ".lab" / copy).rglob("*"))
                if (path.is_symlink() or not path.is_dir()) and not _hides_managed(path)
            )


def _lines(link: Link) -> Iterator[str]:
    yield f"link set {link.name} up"
    yield from (f"address add {it} dev {link.name}{' nodad' if ':' in it else ''}" for it in link.addresses)


def _hides_managed(path: Path) -> bool:
    """Whether this is a whiteout over a managed file of the machine itself."""
    return "homeward" in path.name and stat.S_ISCHR(path.lstat().st_mode)


def _described(path: Path, name: str) -> str:
    status = path.lstat()
    what = str(path.readlink()) if path.is_symlink() else ""
    if stat.S_ISREG(status.st_mode):
        what = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name} {status.st_mode:o} {status.st_uid} {what}"
