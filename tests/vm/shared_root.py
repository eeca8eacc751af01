# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command of this checkout under another kernel, in a virtual machine with this machine's root file system.

The root file system is mounted read-only over 9p, below an overlay in memory. So the command has everything that is
installed on this machine, and only its writes to the folder in HOMEWARD_VM_EXCHANGE persist.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import initramfs, qemu
from .cache import FOLDER, ROOT, BuildError
from .kernels import Kernel

MEMORY_MIB = 2048
PROCESSORS = 1  # two emulated ones use a third more CPU time and are not faster
_READY = "homeward-vm: ready"
_SCRIPTS = Path(__file__).resolve().parent / "shared_root"


@dataclass(frozen=True)
class Outcome:
    """The result of a command.

    :param code: its exit status; None if the machine did not report one.
    :param boot_seconds: time from the start of qemu to the start of the command.
    :param seconds: total time.
    :param problem: why there is no exit status.
    """

    code: int | None
    boot_seconds: float
    seconds: float
    problem: str = ""


def run(kernel: Kernel, command: Sequence[str], limit: float, boot_limit: float = 240.0) -> Outcome:
    """Run a command in a machine, in the root of the checkout, and print its output.

    :param limit: seconds after which the machine is killed.
    :param boot_limit: seconds in which the command has to start.
    """
    image = initramfs.make_initramfs(
        kernel,
        (_SCRIPTS / "init").read_text(),
        (*initramfs.VIRTIO, *initramfs.SHARED_FOLDERS, *initramfs.LINKS, *initramfs.HELPERS),
        initramfs.NETFILTER_FOLDERS,
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exchange-", dir=FOLDER) as exchange:
        folder = Path(exchange)
        (folder / "command").write_text(_script(folder, command))
        (folder / "start").write_text((_SCRIPTS / "start").read_text())
        return _boot(_arguments(kernel, image, folder), folder, limit, boot_limit)


def _script(exchange: Path, command: Sequence[str]) -> str:
    settings = {
        "PATH": f"{ROOT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(Path.home()),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",  # the console is a terminal, its reader is not
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # importing unused plugins takes half a minute here
        "HOMEWARD_VM_EXCHANGE": str(exchange),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join([*lines, f"cd {shlex.quote(str(ROOT))}", f"exec {shlex.join(command)}"]) + "\n"


def _arguments(kernel: Kernel, image: Path, exchange: Path) -> list[str]:
    shared = "local,security_model=none,multidevs=remap"
    words = ["console=ttyS0", "loglevel=3", *qemu.QUICK_KERNEL, f"homeward.exchange={exchange}"]
    return [
        *qemu.accelerator(kernel).arguments,
        *("-m", str(MEMORY_MIB), "-smp", str(PROCESSORS), "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(kernel.image), "-initrd", str(image), "-append", " ".join(words)),
        *("-virtfs", f"{shared},path=/,mount_tag=root,readonly=on"),
        *("-virtfs", f"{shared},path={exchange},mount_tag=exchange"),
        *("-device", "virtio-rng-pci"),
    ]


def _boot(arguments: list[str], exchange: Path, limit: float, boot_limit: float) -> Outcome:
    began = time.monotonic()
    started = None
    boot_log: list[str] = []
    with qemu.running(arguments, subprocess.PIPE) as process:
        timer = threading.Timer(boot_limit, process.kill)
        timer.start()
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            text = line.rstrip("\r\n")
            if started is None and _READY in text:
                started = time.monotonic()
                timer.cancel()
                timer = threading.Timer(limit, process.kill)
                timer.start()
            elif started is None:
                boot_log.append(text)
            else:
                print(text, flush=True)
        timer.cancel()
        process.wait()
    seconds = time.monotonic() - began
    if started is None:
        print("\n".join(boot_log[-40:]), file=sys.stderr)
        return Outcome(
            None, seconds, seconds, f"the machine did not boot in {seconds:.0f} s; see its last output above"
        )
    status = exchange / "status"
    if not status.exists():
        problem = f"the machine ended before the command did, after {seconds:.0f} s (limit {limit:.0f} s)"
        return Outcome(None, started - began, seconds, problem)
    return Outcome(int(status.read_text()), started - began, seconds)


def require_success(outcome: Outcome) -> None:
    """Raise BuildError if the machine reported no exit status."""
    if outcome.code is None:
        raise BuildError(outcome.problem)
