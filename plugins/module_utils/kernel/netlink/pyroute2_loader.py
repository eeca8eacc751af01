# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds a pyroute2 that is new enough, and loads only its message classes.

``import pyroute2`` runs the package's ``__init__``, which loads the whole library: 200-340 ms of CPU, more than the rest of a
run. The message classes need only a few of its files. They are imported below a stub of the package, which is removed again
afterwards, so that a later ``import pyroute2`` in the same process finds no half-loaded package.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import NodeError, Pyroute2Missing
from ...paths import PYROUTE2_DIRECTORY

MINIMUM = (0, 7, 2)

_VERSION = re.compile(r"""^__version__\s*=\s*["'](?P<version>[^"']+)["']""", re.MULTILINE)
_VERSION_FILES = ("pyroute2/config/version.py", "pr2modules/config/version.py")  # the second: 0.6.x
# The directory of a distribution's metadata: pyroute2-0.7.2.dist-info, pyroute2-0.5.14-py3.9.egg-info. Its name has the
# version; importlib.metadata parses its content as an e-mail, which takes longer than to load the message classes.
_METADATA = re.compile(r"^pyroute2-(?P<version>[^-]+?)(-py[0-9.]+)?\.(dist|egg)-info$")


@dataclass(frozen=True)
class Pyroute2:
    """A pyroute2 on this node.

    :param version: such as ``0.9.7``; ``""`` if unknown.
    :param directory: in which the package directory ``pyroute2`` is.
    """

    version: str
    directory: str

    @property
    def is_recent(self) -> bool:
        """Whether this is at least :data:`MINIMUM`, the first version with correct deletions and rules."""
        numbers = tuple(int(number) for number in re.findall(r"\d+", self.version)[:3])
        return numbers >= MINIMUM

    def __str__(self) -> str:
        return f"{self.version or 'of unknown version'} in {self.directory}"


@dataclass(frozen=True)
class MessageClasses:
    """The classes of pyroute2 that describe messages; only their tables are used, never their code.

    :param route: ``rtmsg``.
    :param nexthop: one hop of ``RTA_MULTIPATH``.
    :param rule: ``fibmsg``.
    :param address: ``ifaddrmsg``.
    :param link: ``ifinfmsg``.
    :param link_info: inside of ``IFLA_LINKINFO``.
    :param vlan: inside of ``IFLA_INFO_DATA`` where the kind is ``vlan``.
    :param macvlan: likewise for ``macvlan``.
    """

    route: Any
    nexthop: Any
    rule: Any
    address: Any
    link: Any
    link_info: Any
    vlan: Any
    macvlan: Any


def find_pyroute2(extra_directory: str = PYROUTE2_DIRECTORY) -> Pyroute2:
    """Return the first pyroute2 that is new enough: of Python's path, else the copy that the collection installed.

    Nothing is imported.

    :param extra_directory: where that copy may be; several directories are separated by colons.
    :raises Pyroute2Missing: there is none, or all are too old.
    """
    found = []
    for directory in dict.fromkeys([*sys.path, *filter(None, extra_directory.split(os.pathsep))]):
        parent = _directory_with_package(directory)
        if parent is None:
            continue
        candidate = Pyroute2(_version_of(parent), str(parent))
        if candidate.is_recent:
            return candidate
        found.append(candidate)
    needed = ".".join(str(number) for number in MINIMUM)
    target = extra_directory.partition(os.pathsep)[0]
    installed = "no pyroute2" if not found else "only pyroute2 " + ", ".join(str(candidate) for candidate in found)
    raise Pyroute2Missing(
        f"This node has {installed} for {sys.executable}, but pyroute2 >= {needed} is needed: older versions write and delete"
        " wrong rules on current kernels. Install it with the node's package manager (python3-pyroute2) if that has a version"
        f" that is new enough, or put a copy into {target} (pip install --target {target} 'pyroute2>={needed}')."
    )


def load_message_classes(found: Pyroute2) -> MessageClasses:
    """Return pyroute2's message classes, loaded below a stub of the package, or with all of pyroute2 if that fails.

    :raises NodeError: neither works with this Python.
    """
    try:
        with _stub_package(found.directory):
            return _import_message_classes()
    except (ImportError, AttributeError):
        pass  # this version needs more of its package than the stub has
    try:
        with _first_in_path(found.directory):
            importlib.import_module("pyroute2")
            return _import_message_classes()
    except (ImportError, AttributeError) as error:
        raise NodeError(
            f"pyroute2 {found} cannot be loaded by {sys.executable} (Python {sys.version.split()[0]}):"
            f" {type(error).__name__}: {error}. Install a version of pyroute2 that supports this Python."
        ) from error


def _directory_with_package(directory: str) -> Path | None:
    """Return the directory as an absolute path if a package ``pyroute2`` with code is in it."""
    spec = importlib.machinery.PathFinder.find_spec("pyroute2", [directory])
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent.parent


def _version_of(directory: Path) -> str:
    """Return the version of the pyroute2 in a directory, from its own file or, as Debian leaves that out, its metadata."""
    for name in _VERSION_FILES:
        file = directory / name
        if file.is_file():
            match = _VERSION.search(file.read_text(encoding="utf-8"))
            if match:
                return match.group("version")
    names = (_METADATA.match(entry.name) for entry in directory.glob("pyroute2-*-info"))
    return next((match.group("version") for match in names if match), "")


def _import_message_classes() -> MessageClasses:
    def module(name: str) -> Any:
        return importlib.import_module(f"pyroute2.netlink.rtnl.{name}")

    link = module("ifinfmsg")
    route = module("rtmsg")
    return MessageClasses(
        route=route.rtmsg,
        nexthop=route.nh,
        rule=module("fibmsg").fibmsg,
        address=module("ifaddrmsg").ifaddrmsg,
        link=link.ifinfmsg,
        link_info=link.ifinfmsg.ifinfo,
        vlan=link.data_plugins["vlan"],
        macvlan=link.macvx_data,
    )


def _of_pyroute2(names: Iterable[str]) -> list[str]:
    return [name for name in names if name == "pyroute2" or name.startswith("pyroute2.")]


@contextmanager
def _stub_package(directory: str) -> Iterator[None]:
    """Replace the package pyroute2 by an empty one; afterwards ``sys.modules`` is as before."""
    before = {name: sys.modules.pop(name) for name in _of_pyroute2(sys.modules)}
    package = types.ModuleType("pyroute2")
    package.__path__ = [str(Path(directory) / "pyroute2")]
    sys.modules["pyroute2"] = package
    try:
        yield
    finally:
        for name in _of_pyroute2(list(sys.modules)):
            del sys.modules[name]
        sys.modules.update(before)


@contextmanager
def _first_in_path(directory: str) -> Iterator[None]:
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)
