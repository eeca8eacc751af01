# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files and the unit that make a state persistent on a node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from ..errors import UNUSABLE_STATE, USAGE, NodeError
from ..kernel import files as kernel_files
from ..kernel.files import may_write
from ..kernel.iptables import programs
from ..kernel.network_managers import made_by_ifupdown
from ..kernel.systemd import systemd_runs
from ..paths import (
    AGENT_DIRECTORY,
    COMMAND,
    FILE_HEADER,
    FORMATS_FILE,
    HOME_DIRECTORIES,
    LIBRARY,
    LOCK_FILE,
    METRICS_FILE,
    PROTOCOL_FILE,
    RUNTIME,
    SHORT_COMMAND,
    STATE_FILE,
    UNIT_FILE,
    UNIT_NAME,
)
from ..state import File, Node, NodeState, Unit
from . import launcher, network_managers
from .statefile import MODE, Saved, dumps, load

#: Files without which everything else works.
OPTIONAL_FILES = (PROTOCOL_FILE, SHORT_COMMAND, *network_managers.FILES)
#: For links and for both variants of iptables; a kernel that has them built in, or not at all, is left as it is.
MODULES = "8021q nf_tables nft_compat ip_tables iptable_mangle iptable_raw ip6_tables ip6table_mangle ip6table_raw"
WATCHDOG_SECONDS = 120
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


_UNIT = """\
{header}[Unit]
Description=Agent that reconciles the routing of MetalLB pools
After={after}
Before={before}
ConditionPathExists={state_file}
RequiresMountsFor={library}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStartPre=-+/bin/sh -c 'modprobe -qa {modules}; true'
ExecStart=/bin/sh {command} agent --version {version}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
RestartPreventExitStatus={final_statuses}
SyslogIdentifier=metallb-routing
KillMode=mixed
TimeoutStartSec=60
TimeoutStopSec=45
WatchdogSec={watchdog}
OOMScoreAdjust=-900
RuntimeDirectory={runtime_directory}
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW{further_capability}
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
IPAddressDeny=any
IPAddressAllow=localhost

[Install]
WantedBy=multi-user.target
"""


def unit_text(version: str, metrics_directory: str = "") -> str:
    """Return the agent's unit, ordered after all that creates links and before all that starts pods.

    MetalLB's speaker gives up on an interface that is missing when it looks, so managed links must exist before the kubelet
    starts. The service reports that it is ready after a limited wait for links, whatever the result, so it never blocks a
    boot. It restarts however often it is killed, unless it exits with a status that another start would not change.
    A stop lets iptables-restore finish.

    The program needs netlink, the programs of iptables, /proc/sys, its lock and report in /run, and the directory of the
    metrics; the unit takes everything else away. A process without CAP_SYS_MODULE cannot load the modules of iptables-legacy,
    so the service manager does that before it.
    """
    return _UNIT.format(
        header=FILE_HEADER,
        after=AFTER,
        before=BEFORE,
        state_file=STATE_FILE,
        library=LIBRARY,
        modules=MODULES,
        command=COMMAND,
        version=version,
        final_statuses=f"{UNUSABLE_STATE} {USAGE}",
        watchdog=WATCHDOG_SECONDS,
        runtime_directory=Path(AGENT_DIRECTORY).name,
        further_capability=" CAP_DAC_OVERRIDE" if metrics_directory else "",
        writable=f"{Path(LOCK_FILE).parent}{_writable(metrics_directory)}",
        protect_home="read-only" if metrics_directory.startswith(HOME_DIRECTORIES) else "yes",
    )


def _writable(metrics_directory: str) -> str:
    """Return the directory of the metrics as a further path to write to; of a missing one, the nearest that exists above it."""
    if not metrics_directory:
        return ""
    place = Path(metrics_directory)
    existing = next((folder for folder in (place, *place.parents) if folder.is_dir()), place)
    chosen = place if str(existing) == "/" else existing
    escaped = str(chosen).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f' "-{escaped}"'


SHORT_COMMAND_TEXT = f'#!/bin/sh\n{FILE_HEADER}exec /bin/sh {COMMAND} "$@"\n'
MANAGED_FILES = (STATE_FILE, RUNTIME, FORMATS_FILE, COMMAND, SHORT_COMMAND, UNIT_FILE, *network_managers.FILES)


@dataclass(frozen=True)
class Program:
    """The files of the agent.

    :param archive: makes or finds the archive of its modules, which takes time.
    :param command: runs the archive.
    :param tables: what it needs of pyroute2.
    :param tables_needed: whether the modules need the tables too, because the node has no pyroute2 that is new enough.
    """

    archive: Callable[[], File]
    command: File
    tables: File
    tables_needed: bool = False

    def files(self) -> tuple[File, ...]:
        """Make the archive, and return all files."""
        return (self.archive(), self.command, self.tables)


@dataclass(frozen=True)
class Persisted:
    """The files and units that make a state persistent, and warnings for the user."""

    state: NodeState = field(default_factory=NodeState)
    warnings: tuple[str, ...] = ()


def with_optional_files(desired: NodeState, node: Node) -> NodeState:
    """Return the state with optional files left as they are where their folder is read-only."""
    files = {file.path: file for file in desired.files}
    existing = {file.path: file for file in node.managed.files}
    for path in OPTIONAL_FILES:
        if files.get(path) != existing.get(path) and not kernel_files.is_writable(path):
            files.pop(path, None)
            files.update({path: existing[path]} if path in existing else {})
    return replace(desired, files=frozenset(files.values()))


def kept_tables(program: Program) -> NodeState:
    """Return the tables as a file where the modules need them, so that only the first run of a node has to be sent them."""
    needed = program.tables_needed and kernel_files.is_writable(program.tables.path)
    return NodeState(files=frozenset({program.tables} if needed else ()))


def files_of_managers(desired: NodeState, node: Node, *, persistent: bool) -> tuple[File, ...]:
    """Return the files for the network managers that run on this node."""
    names = {link.name for link in desired.links}
    existing = {file.path for file in node.managed.files}
    return network_managers.files_for(node.services, names, existing, kernel_files.is_writable, persistent=persistent)


def persist(saved: Saved, node: Node, program: Program) -> Persisted:
    """Return the files and the unit with which the state survives a reboot and every other loss."""
    if not systemd_runs():
        warning = (
            "persist: this node does not run systemd, so the routing does not survive a reboot and drift is not reconciled."
            " Run apply at boot."
        )
        return Persisted(kept_tables(program), (warning,))
    if program.command not in node.managed.files:  # or it has found a Python already
        launcher.require_python(program.command.content)
    files_of_program = program.files()
    content = "".join([*(file.content for file in files_of_program), unit_text("", saved.metrics_directory)])
    version = sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    of_managers = files_of_managers(saved.state, node, persistent=True)
    files = [
        File(STATE_FILE, dumps(saved), MODE),
        File(UNIT_FILE, unit_text(version, saved.metrics_directory)),
        *of_managers,
        *files_of_program,
    ]
    if may_write(str(Path(SHORT_COMMAND).parent)):
        files.append(File(SHORT_COMMAND, SHORT_COMMAND_TEXT, 0o755))
    state = NodeState(files=frozenset(files), units=frozenset({Unit(UNIT_NAME, version)}))
    warnings = (
        *_unusable_programs(saved.program_directories),
        *network_managers.warnings_for(
            node.services, made_by_ifupdown({link.name for link in saved.state.links}, node.services)
        ),
        *network_managers.volatile_files(of_managers),
        *_missing_directory(saved.metrics_directory),
    )
    return Persisted(state, warnings)


def _unusable_programs(directories: Iterable[str]) -> Iterator[str]:
    """Yield a warning about directories of iptables that the service must not use."""
    unsafe = [directory for directory in directories if not programs.is_of_root(directory)]
    if unsafe:
        yield (
            f"persist: iptables is in {', '.join(unsafe)}, which others than root can change. The service does not use it, so it"
            " does not reconcile chains. Install the package iptables, or have root own that directory and those above it."
        )


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


def persisted() -> tuple[tuple[str, ...], Mapping[str, Sequence[str]]]:
    """Return the names of the pools in the state file, and the addresses by node; none if there is no usable one."""
    try:
        saved = load()
    except NodeError:
        return (), {}
    return tuple(str(case["pool"]) for case in saved.cases), saved.nodes
