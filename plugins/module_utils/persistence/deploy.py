# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files and the unit that keep a state true on a node: made of this very code, so that there is no second engine."""

from __future__ import annotations

import importlib.util
import io
import pkgutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ansible_collections.homeward.metallb_routing.plugins.module_utils import kernel, persistence, planning, state
from ansible_collections.homeward.metallb_routing.plugins.module_utils.errors import NodeError
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.files import may_write
from ansible_collections.homeward.metallb_routing.plugins.module_utils.kernel.units import systemd_runs
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import neighbours
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.places import (
    COMMAND,
    METRICS_FILE,
    RUNTIME,
    SHORT_COMMAND,
    STATE_FILE,
    UNIT_FILE,
    UNIT_NAME,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence.statefile import (
    MODE,
    Saved,
    dumps,
    load,
)
from ansible_collections.homeward.metallb_routing.plugins.module_utils.state import File, Node, NodeState, Unit

if TYPE_CHECKING:
    # Ansible sends a module what it imports, found in its text; this has the runtime sent along without loading it here.
    from ansible_collections.homeward.metallb_routing.plugins.module_utils.persistence import cli  # noqa: F401

ROOMS = (state, planning, kernel, persistence)
ROOT = state.__name__.rpartition(".")[0]
SINGLE_FILES = ("errors", "confirmation", "transaction")
NEEDS_LINKS_FIRST = (
    "kubelet.service k3s.service k3s-agent.service rke2-server.service rke2-agent.service containerd.service crio.service"
    " docker.service k0scontroller.service k0sworker.service snap.microk8s.daemon-kubelite.service"
)
MAKES_LINKS = (
    "network-pre.target systemd-sysctl.service systemd-modules-load.service systemd-networkd.service NetworkManager.service"
    " networking.service wicked.service"
)


def unit_text(version: str) -> str:
    """Return the service: after whatever makes links, before whatever starts pods.

    MetalLB's speaker gives up on an interface that is missing when it looks, so our links must be there before the
    kubelet. The service says that it is ready when its patience at the start is over, whatever happens, so no boot hangs on
    it. However often it is killed it comes back, unless it says itself (2) that only a new state file can help; a stop lets
    the program end that is writing rules just then. Homes stay readable: the Python that Ansible was told to use may be in
    one.
    """
    return f"""\
{neighbours.HEADER}[Unit]
Description=Keeps the routing of MetalLB pools as declared
After={MAKES_LINKS}
Before={NEEDS_LINKS_FIRST}
ConditionPathExists={STATE_FILE}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={sys.executable} {COMMAND} guard --version {version}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStartSec=60
OOMScoreAdjust=-900
RuntimeDirectory=homeward-metallb-routing
NoNewPrivileges=yes
ProtectHome=read-only

[Install]
WantedBy=multi-user.target
"""


COMMAND_TEXT = f"""\
#!/usr/bin/env python3
{neighbours.HEADER}import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "{RUNTIME}")
from {ROOT}.persistence.cli import main

sys.exit(main())
"""
SHORT_COMMAND_TEXT = f'#!/bin/sh\n{neighbours.HEADER}exec {{python}} {COMMAND} "$@"\n'
MANAGED_FILES = (STATE_FILE, RUNTIME, COMMAND, SHORT_COMMAND, UNIT_FILE, *neighbours.FILES)


@dataclass(frozen=True)
class Kept:
    """What keeps a state on a node, and what the user should know of it."""

    state: NodeState = field(default_factory=NodeState)
    warnings: tuple[str, ...] = ()


def keep(saved: Saved, node: Node) -> Kept:
    """Return the files and the unit that keep the state over a reboot and every other loss."""
    if not systemd_runs():
        words = "persist: systemd does not run here, so nothing is kept over a reboot or put back by itself. Run apply at boot."
        return Kept(warnings=(words,))
    program = runtime()
    version = sha256(program.content.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    files = [
        File(STATE_FILE, dumps(saved), MODE),
        File(COMMAND, COMMAND_TEXT, 0o755),
        File(UNIT_FILE, unit_text(version)),
        *neighbours.files_for(node.services, saved.state.links),
        program,
    ]
    if may_write(str(Path(SHORT_COMMAND).parent)):
        files.append(File(SHORT_COMMAND, SHORT_COMMAND_TEXT.format(python=sys.executable), 0o755))
    state_kept = NodeState(files=frozenset(files), units=frozenset({Unit(UNIT_NAME, version)}))
    return Kept(state_kept, (*neighbours.warnings_for(node.services), *_metrics_lost(saved.metrics_directory)))


def _metrics_lost(directory: str) -> tuple[str, ...]:
    if not directory or Path(directory).is_dir():
        return ()
    return (f"metrics_directory: there is no {directory} on this node (yet); the metrics are told once there is one.",)


def outdated_metrics(directory: str) -> tuple[str, ...]:
    """Return the file that a service made by an earlier run left in another directory: its figures would be told for ever.

    :param directory: the one that is wanted now, ``""`` for none.
    """
    try:
        earlier = load().metrics_directory
    except NodeError:
        return ()
    return (str(Path(earlier, METRICS_FILE)),) if earlier not in ("", directory) else ()


def kept_pools() -> tuple[str, ...]:
    """Return the names of the pools for which the state that the node keeps was made."""
    try:
        return tuple(str(case["pool"]) for case in load().cases)
    except NodeError:
        return ()


@lru_cache(maxsize=1)
def runtime() -> File:
    """Return this collection's own modules that the guard needs, as one archive that Python imports from.

    One file is replaced at once, so no guard ever starts with half of it; stored and without dates, it is the same for the
    same modules on every node.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for folder in _folders_above():
            archive.writestr(zipfile.ZipInfo(f"{folder}/__init__.py"), "")
        for name in sorted(_names()):
            archive.writestr(zipfile.ZipInfo(_path(name)), _source(name))
    return File(RUNTIME, buffer.getvalue().decode("utf-8", "surrogateescape"))


def _folders_above() -> Iterator[str]:
    """Yield the packages above ours; an archive has no namespace packages, so each needs a file of its own."""
    parts = ROOT.split(".")
    yield from ("/".join(parts[:length]) for length in range(1, len(parts)))


def _names() -> Iterator[str]:
    yield ROOT
    yield from (f"{ROOT}.{name}" for name in SINGLE_FILES)
    for room in ROOMS:
        yield room.__name__
        yield from (f"{room.__name__}.{found.name}" for found in pkgutil.iter_modules(room.__path__))


def _path(name: str) -> str:
    base = name.replace(".", "/")
    packages: set[str] = {ROOT, *(room.__name__ for room in ROOMS)}
    return f"{base}/__init__.py" if name in packages else f"{base}.py"


def _source(name: str) -> str:
    """Return a module's text, from a folder or from the archive that Ansible sent."""
    module: ModuleType | None = sys.modules.get(name)
    found = module.__spec__ if module is not None else importlib.util.find_spec(name)
    source = getattr(found and found.loader, "get_source", lambda _name: None)(name)
    return source or ""
