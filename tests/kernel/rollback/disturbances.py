# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else may go wrong on a node while a change is rolled back. Each begins before the time is up, and ends later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tests.kernel.rollback.pending import pending_processes
from tests.support.node import Node

_MULTI = ("xtables-nft-multi", "xtables-legacy-multi")


class Disturbance(Protocol):
    """Disturbs the node within the block."""

    __name__: str

    def __call__(self, node: Node) -> AbstractContextManager[None]: ...


@contextmanager
def _instead_of_iptables(node: Node, script: str) -> Iterator[None]:
    program = node.host.path("/run/.lab/no-iptables")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    node.host.run("\n".join(f"mount --bind /run/.lab/no-iptables /usr/sbin/{name}" for name in _MULTI))
    try:
        yield
    finally:
        node.host.run("\n".join(f"umount /usr/sbin/{name}" for name in _MULTI))
        program.unlink()


@contextmanager
def iptables_fails(node: Node) -> Iterator[None]:
    """Every program of iptables fails."""
    with _instead_of_iptables(node, "echo 'Bus error' >&2; exit 1"):
        yield


@contextmanager
def iptables_hangs(node: Node) -> Iterator[None]:
    """No program of iptables ends, until the disturbance does."""
    with _instead_of_iptables(node, "exec sleep 3600"):
        try:
            yield
        finally:
            for process in pending_processes(node):
                with suppress(OSError):
                    if Path(f"/proc/{process}/cmdline").read_bytes() == b"sleep\x003600\x00":
                        os.kill(process, signal.SIGKILL)


@contextmanager
def full_run(node: Node) -> Iterator[None]:
    """/run has neither a block nor an inode left; /etc and /var/lib of the node are on the same file system."""
    blocks, inodes = (int(node.host.output(f"df --output={column} /run | tail -1")) for column in ("used", "iused"))
    filler = "/run/.lab/filler"
    node.host.run(
        f"mount -o remount,size={blocks + 64}k,nr_inodes={inodes + 1} /run; ! cat /dev/zero 2>/dev/null > {filler}"
    )
    assert node.host.run("echo x > /run/.lab/one-more", check=False).returncode
    try:
        yield
    finally:
        node.host.run(f"rm {filler}; mount -o remount,size=50%,nr_inodes=1000000 /run")


@contextmanager
def read_only_run(node: Node) -> Iterator[None]:
    """/run is read-only."""
    node.host.run("mount -o remount,ro /run")
    try:
        yield
    finally:
        node.host.run("mount -o remount,rw /run")


def clock_forward() -> None:
    """Set the clock of this process forward by a day."""
    _jump(86400.0)


def clock_backward() -> None:
    """Set it back by a day."""
    _jump(-86400.0)


def _jump(seconds: float) -> None:
    import time  # noqa: PLC0415 - of this process, a child of the test

    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + int(seconds * 1e9)


DISTURBANCES: tuple[Disturbance, ...] = (
    iptables_fails,
    iptables_hangs,
    full_run,
    read_only_run,
)
