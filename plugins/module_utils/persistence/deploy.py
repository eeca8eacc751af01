# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files and the unit that keep a state true on a node."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ..errors import NodeError
from ..kernel.files import may_write
from ..kernel.systemd import systemd_runs
from ..paths import COMMAND, FILE_HEADER, METRICS_FILE, RUNTIME, SHORT_COMMAND, STATE_FILE, UNIT_FILE, UNIT_NAME
from ..state import File, Node, NodeState, Unit
from . import network_managers
from .statefile import MODE, Saved, dumps, load

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
{FILE_HEADER}[Unit]
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


SHORT_COMMAND_TEXT = f'#!/bin/sh\n{FILE_HEADER}exec {{python}} {COMMAND} "$@"\n'
MANAGED_FILES = (STATE_FILE, RUNTIME, COMMAND, SHORT_COMMAND, UNIT_FILE, *network_managers.FILES)


@dataclass(frozen=True)
class Kept:
    """What keeps a state on a node, and what the user should know of it."""

    state: NodeState = field(default_factory=NodeState)
    warnings: tuple[str, ...] = ()


def keep(saved: Saved, node: Node, program: Sequence[File]) -> Kept:
    """Return the files and the unit that keep the state over a reboot and every other loss.

    :param program: the files of the agent.
    """
    if not systemd_runs():
        words = "persist: systemd does not run here, so nothing is kept over a reboot or put back by itself. Run apply at boot."
        return Kept(warnings=(words,))
    content = "".join(file.content for file in program)
    version = sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    files = [
        File(STATE_FILE, dumps(saved), MODE),
        File(UNIT_FILE, unit_text(version)),
        *network_managers.files_for(node.services, saved.state.links),
        *program,
    ]
    if may_write(str(Path(SHORT_COMMAND).parent)):
        files.append(File(SHORT_COMMAND, SHORT_COMMAND_TEXT.format(python=sys.executable), 0o755))
    state_kept = NodeState(files=frozenset(files), units=frozenset({Unit(UNIT_NAME, version)}))
    return Kept(state_kept, (*network_managers.warnings_for(node.services), *_metrics_lost(saved.metrics_directory)))


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
