# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node to run modules on: its own network, /run and /etc, what a module says there, and pictures of it that are not ours.

eth0 192.168.1.11, fd00:192:168:1::11 (default routes by it)    eth0.100, eth0.200, eth1 without an address
eth2 172.16.0.11, fd00:172::11
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import hashlib
import importlib
import io
import itertools
import json
import os
import pickle
import re
import stat
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.homeward.metallb_routing.plugins.module_utils import engine, info
from ansible_collections.homeward.metallb_routing.plugins.module_utils import object_modules as single
from ansible_collections.homeward.metallb_routing.plugins.module_utils.paths import LOCK_FILE as LOCK
from tests.lab import namespaces
from tests.lab.base import Site
from tests.lab.host import Host
from tests.lab.namespaces import CLONE_NEWNET
from tests.lab.topology import Link, mac
from tests.support.steps import FORMATS

assert "ansible.errors" not in sys.modules, (
    "a test has imported what is the controller's; modules then think they run there"
)

Result = TypeVar("Result")
Answer = dict[str, Any]
Picture = dict[str, str]

MODULES = ("pool_routing", "ip_links", "ip_routes", "ip_rules", "iptables_chains", "routing_info")
POOL_INTERFACES = ("eth0.100", "eth0.200", "eth1")
NAMES = "/etc/iproute2"
OUR_PLACES = (
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
_EMPTY_CHAIN = re.compile(r"(?m)^\tchain \S+ \{\n\t\ttype [^\n]* policy accept;\n\t\}\n")
_MEMORY = ("homeward.metallb_routing 40", "homeward.metallb_routing/originals.")
_CLONE_NEWNS = 0x00020000
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)
_module = {
    name: importlib.import_module(f"{engine.__name__.rpartition('.module_utils')[0]}.modules.{name}")
    for name in MODULES
}
_LOADED_ONCE = (FORMATS, info, single)  # here instead of in each child


class EngineNode(Site):
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
        # A copy, in which nothing changes that somebody changes on the machine; and nothing the machine has of ours.
        self.host.run(
            f"cp -a {NAMES} /run/.lab/; mount --bind /run/.lab/iproute2 {NAMES}; rm -rf {' '.join(OUR_PLACES)}"
        )
        self._await_links(["node1"])

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call the function on the node, in a child process, and return its result or raise what it raised."""
        return in_child(self._enter, function, *arguments)

    def _enter(self) -> None:
        for kind, flag in (("net", CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
            with Path(f"/proc/{self.host.holder}/ns/{kind}").open("rb") as handle:
                if _libc.setns(handle.fileno(), flag):
                    raise OSError(ctypes.get_errno(), f"cannot enter {self.name}: {kind}")

    def module(
        self,
        module: str,
        arguments: Mapping[str, Any],
        *,
        check: bool = False,
        before: Callable[[], object] | None = None,
    ) -> Answer:
        """Run a module of the collection on the node, with a difference, and return its answer as Ansible gets it.

        :param before: called on the node right before, in the same process: takes rights away, sets a trap.
        """

        def run() -> Answer:
            if before:
                before()
            return run_module(module, {**arguments, "_ansible_check_mode": check, "_ansible_diff": True})

        return self.call(run)

    def change(self, module: str, arguments: Mapping[str, Any], **options: Any) -> Answer:
        """Run a module that must not fail."""
        answer = self.module(module, arguments, **options)
        assert not answer.get("failed"), answer["msg"]
        return answer

    def refuse(self, module: str, arguments: Mapping[str, Any], **options: Any) -> Answer:
        """Run a module that must fail, in check mode and without, and leave the node byte-identical."""
        before = self.picture()
        answers = [self.module(module, arguments, check=check, **options) for check in (True, False)]
        for answer in answers:
            assert answer.get("failed"), answer
            assert "Traceback" not in answer["msg"], answer["msg"]
        assert answers[0] == answers[1], "check mode says something else"
        assert_same(before, self.picture())
        return answers[1]

    def ip_json(self, line: str) -> Any:
        """Return what ``ip -details -json`` says: ``-6 route show table all``."""
        return json.loads(self.host.run(["ip", "-details", "-json", *line.split()]).stdout or "[]")

    def picture(self) -> Picture:
        """Take a picture of all that a module may touch: the kernel's state by other tools, and files."""
        kernel = dict(self.host.snapshot().parts)
        for part in ("links", "addresses"):  # whether a link runs the kernel finds out in its own time
            kernel[part] = re.sub(r'"operstate": "[^"]*"', '"operstate": null', kernel[part])
        return {**kernel, "nft": without_empty_chains(kernel["nft"]), "files": "\n".join(self._files())}

    def _files(self) -> Iterator[str]:
        """Yield a line for each file and folder of /run, and each file that differs from the machine's."""
        run = self.host.path("/run")
        for path in sorted(run.rglob("*")):
            inside = path.relative_to(run)
            if inside.parts[0] not in (".lab", "lock", "xtables.lock", Path(LOCK).name):
                yield _described(path, str(inside))
        places = {NAMES: "iproute2", "/etc": "etc/upper", "/var/lib": "var/lib/upper"}
        for place, copy in places.items():
            yield from (
                _described(path, f"{place}/{path.relative_to(run / '.lab' / copy)}")
                for path in sorted((run / ".lab" / copy).rglob("*"))
                if (path.is_symlink() or not path.is_dir()) and not _hides_ours(path)
            )


def _lines(link: Link) -> Iterator[str]:
    yield f"link set {link.name} up"
    yield from (f"address add {it} dev {link.name}{' nodad' if ':' in it else ''}" for it in link.addresses)


def _hides_ours(path: Path) -> bool:
    """Whether this stands for "there is none" over a file of ours on the machine itself: that is, for nothing."""
    return "homeward" in path.name and stat.S_ISCHR(path.lstat().st_mode)


def _described(path: Path, name: str) -> str:
    status = path.lstat()
    what = str(path.readlink()) if path.is_symlink() else ""
    if stat.S_ISREG(status.st_mode):
        what = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name} {status.st_mode:o} {status.st_uid} {what}"


def warnings_of(answer: Answer) -> list[str]:
    """Return the texts of a module's warnings."""
    return [item["event"]["msg"] for item in answer.get("warnings", ())]


def assert_told(answer: Answer, path: str, reason: str, remedy: str) -> None:
    """Assert that this alone is told: the place, what is wrong there, and behind the full stop what to do."""
    assert [error["path"] for error in answer["errors"]] == [path], answer["errors"]
    message = answer["errors"][0]["message"]
    told = rf"{re.escape(path)}( \(pool \w+\))?: .*{re.escape(reason)}.*\. {re.escape(remedy)}.*"
    assert re.fullmatch(told, message), message
    assert answer["msg"] == message


def run_module(module: str, parameters: Mapping[str, Any]) -> Answer:
    """Run a module's ``main`` in this process, as Ansible's wrapper does, and return what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), patch_module_args(dict(parameters)):
        basic._PARSED_MODULE_ARGS = None  # noqa: SLF001 - kept by AnsibleModule for the rest of the process
        with contextlib.suppress(SystemExit):
            _module[module].main()
    answer: Answer = json.loads(output.getvalue())
    return answer


def in_child(enter: Callable[[], None], function: Callable[..., Result], *arguments: Any) -> Result:
    """Call the function in a forked child that has entered another place; its result or error comes back pickled."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside a thread of the test runner's
        child = os.fork()
    if not child:
        os.close(read_end)
        _answer(write_end, enter, function, arguments)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    if not content:
        raise AssertionError("the child died without an answer")
    succeeded, value, trace = pickle.loads(content)  # noqa: S301 - our own child wrote it
    if succeeded:
        result: Result = value
        return result
    print(trace, file=sys.stderr)
    raise AssertionError(f"{type(value).__name__}: {value}") from (value if isinstance(value, Exception) else None)


def _answer(
    write_end: int, enter: Callable[[], None], function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """In the child: enter, call, write the answer, and end without running anything of the parent's."""
    try:
        enter()
        content = pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        trace = traceback.format_exc()
        content = pickle.dumps((False, repr(error), trace))
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(content)
    os._exit(0)


def difference(before: Picture, after: Picture, *parts: str) -> str:
    """Return what differs between two pictures, in some parts or in all; ``""`` for nothing."""
    lines: list[str] = []
    for part in parts or before:
        old, new = before[part].splitlines(), after[part].splitlines()
        lines += difflib.unified_diff(old, new, f"{part} before", f"{part} after", "", "", 0)
    return "\n".join(lines)


def assert_same(before: Picture, after: Picture, *parts: str) -> None:
    """Assert that two pictures are byte-identical, and show where they are not."""
    found = difference(before, after, *parts)
    assert not found, found


def without_empty_chains(ruleset: str) -> str:
    """Return nft's ruleset without chains that accept all: iptables makes built-in ones for a rule, and leaves them."""
    fewer = re.sub(r"\n\n+", "\n", _EMPTY_CHAIN.sub("", ruleset))
    return re.sub(r"(?m)^table [^\n]* \{\n+\}\n", "", fewer)


def unordered(picture: Picture) -> Picture:
    """Return the picture without what only tells who came first, and whose memory it is.

    Chains and the addresses of a link come in any order; a chain's rules keep theirs.
    """
    by_chain = {part: "\n".join(sorted(text.splitlines(), key=_chain)) for part, text in picture.items()}
    links = [json.loads(line) for line in picture["addresses"].splitlines()]
    addresses = (json.dumps({**link, "addr_info": sorted(link["addr_info"], key=str)}) for link in links)
    files = [line for line in picture["files"].splitlines() if not line.startswith(_MEMORY)]
    # The ruleset as nft shows it says nothing of iptables that its own four listings do not.
    native = "\n".join(sorted(_native_tables(picture["nft"])))
    return {**by_chain, "addresses": "\n".join(sorted(addresses)), "files": "\n".join(files), "nft": native}


def _chain(line: str) -> str:
    return line if not line.startswith("-A ") else " ".join(line.split(" ", 2)[:2])


def _native_tables(ruleset: str) -> list[str]:
    tables = re.split(r"(?m)^(?=table )", ruleset)
    return [table for table in tables if not re.match(r"table ip6? (raw|mangle|nat|filter|security) ", table)]
