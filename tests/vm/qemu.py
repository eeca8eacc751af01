# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines as processes: which accelerator carries them, how they are started, and that none stays behind."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .kernels import Kernel

PROGRAM = "qemu-system-x86_64"
#: Words for the kernel that save an emulated processor much work and a test nothing.
QUICK_KERNEL = ("mitigations=off", "nopti", "no5lvl", "net.ifnames=0", "tsc=reliable", "panic=-1")
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Accelerator:
    """How machines run here.

    :param arguments: qemu's options for it.
    :param reason: why this one, as the end of a sentence.
    """

    name: str
    arguments: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"accelerator: {self.name} ({self.reason})"


def _emulation(reason: str) -> Accelerator:
    return Accelerator("TCG", ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"), reason)


@functools.cache
def accelerator(kernel: Kernel) -> Accelerator:
    """Find out, by booting, whether KVM is of use; /dev/kvm alone says nothing (a paravirtual one boots no stock guest)."""
    flags = set(re.findall(r"\b(?:svm|vmx)\b", Path("/proc/cpuinfo").read_text()))
    if not flags:
        return _emulation("no KVM: the processor shows neither svm nor vmx")
    if Path("/sys/module/kvm_pvm").exists():
        return _emulation("no KVM: kvm_pvm boots no stock kernel")
    if not Path("/dev/kvm").exists():
        return _emulation("no KVM: no /dev/kvm")
    hardware = Accelerator("KVM", ("-accel", "kvm", "-cpu", "host"), f"{flags.pop()}, and a kernel boots with it")
    if not _boots(kernel, hardware):
        return _emulation(f"no KVM: no kernel booted with it in {_PROBE_SECONDS:.0f} s")
    return hardware


def _boots(kernel: Kernel, candidate: Accelerator) -> bool:
    with tempfile.TemporaryDirectory(prefix="homeward-") as folder:
        console = Path(folder) / "console"
        words = ["-kernel", str(kernel.image), "-append", "console=ttyS0 panic=-1", "-serial", f"file:{console}"]
        arguments = [*candidate.arguments, "-m", "256", "-no-reboot", "-display", "none", *words]
        with running(arguments) as process, suppress(subprocess.TimeoutExpired):
            process.wait(_PROBE_SECONDS)  # without a root file system it panics, and so ends, at once
        return console.exists() and "Linux version" in console.read_text(errors="replace")


@contextmanager
def running(arguments: Sequence[str], output: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """Start qemu; it is gone when the block ends, and also when this process is killed.

    :param output: as ``stdout`` of Popen; errors of qemu go the same way, unless that is nowhere.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--", PROGRAM, "-nodefaults", "-no-user-config", *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output == subprocess.DEVNULL else subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
