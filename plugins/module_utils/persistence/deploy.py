# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files and the unit that make a state persistent on a node."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ..errors import NodeError
from ..kernel.files import may_write
from ..kernel.systemd import systemd_runs
from ..paths import (
    AGENT_DIRECTORY,
    COMMAND,
    FILE_HEADER,
    METRICS_FILE,
    RUNTIME,
    SHORT_COMMAND,
    STATE_FILE,
    UNIT_FILE,
    UNIT_NAME,
)
from ..state import File, Node, NodeState, Unit
from . import network_managers
from .statefile import MODE, Saved, dumps, load

#: Units that start pods.
BEFORE = (
    "kubelet.service k3s.service k3s-agent.service rke2-server.service rke2-agent.service containerd.service crio.service"
    " docker.service k0scontroller.service k0sworker.service snap.microk8s.daemon-kubelite.service"
)
#: Units that set up links and sysctls.
AFTER = (
    "network-pre.target systemd-sysctl.service systemd-modules-load.service systemd-networkd.service NetworkManager.service"
    " networking.service wicked.service"
)


def unit_text(version: str) -> str:
    """Return the agent's unit, ordered after all that creates links and before all that starts pods.

    MetalLB's speaker gives up on an interface that is missing when it looks, so managed links must exist before the kubelet
    starts. The service reports that it is ready after a limited wait for links, whatever the result, so it never blocks a
    boot. It restarts however often it is killed, unless it exits with 2: then only a new state file helps. A stop lets
    iptables-restore finish. Home directories stay readable: the Python that Ansible uses may be in one.
    """
    return f"""\
{FILE_HEADER}[Unit]
Description=Agent that reconciles the routing of MetalLB pools
After={AFTER}
Before={BEFORE}
ConditionPathExists={STATE_FILE}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={sys.executable} {COMMAND} agent --version {version}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStartSec=60
OOMScoreAdjust=-900
RuntimeDirectory={Path(AGENT_DIRECTORY).name}
NoNewPrivileges=yes
ProtectHome=read-only

[Install]
WantedBy=multi-user.target
"""


SHORT_COMMAND_TEXT = f'#!/bin/sh\n{FILE_HEADER}exec {{python}} {COMMAND} "$@"\n'
MANAGED_FILES = (STATE_FILE, RUNTIME, COMMAND, SHORT_COMMAND, UNIT_FILE, *network_managers.FILES)


@dataclass(frozen=True)
class Persisted:
    """The files and units that make a state persistent, and warnings for the user."""

    state: NodeState = field(default_factory=NodeState)
    warnings: tuple[str, ...] = ()


def persist(saved: Saved, node: Node, program: Sequence[File]) -> Persisted:
    """Return the files and the unit with which the state survives a reboot and every other loss.

    :param program: the files of the agent.
    """
    if not systemd_runs():
        warning = (
            "persist: this node does not run systemd, so the routing does not survive a reboot and drift is not reconciled."
            " Run apply at boot."
        )
        return Persisted(warnings=(warning,))
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
    state = NodeState(files=frozenset(files), units=frozenset({Unit(UNIT_NAME, version)}))
    warnings = (*network_managers.warnings_for(node.services), *_missing_directory(saved.metrics_directory))
    return Persisted(state, warnings)


def _missing_directory(metrics_directory: str) -> tuple[str, ...]:
    if not metrics_directory or Path(metrics_directory).is_dir():
        return ()
    return (f"metrics_directory: {metrics_directory} does not exist on this node; metrics are written once it does.",)


def stale_metrics_files(metrics_directory: str) -> tuple[str, ...]:
    """Return the metrics file of an earlier run in another directory: node_exporter would report its values forever.

    :param metrics_directory: the desired one, ``""`` for none.
    """
    try:
        earlier = load().metrics_directory
    except NodeError:
        return ()
    return (str(Path(earlier, METRICS_FILE)),) if earlier not in ("", metrics_directory) else ()


def persisted_pools() -> tuple[str, ...]:
    """Return the names of the pools in the state file, none if there is no usable one."""
    try:
        return tuple(str(case["pool"]) for case in load().cases)
    except NodeError:
        return ()
