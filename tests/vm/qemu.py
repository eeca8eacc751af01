# Copyright: (c) 2026, the homeward.metallb_routing authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu: choice of the accelerator, and processes that end with their parent."""

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
#: Kernel parameters that make an emulated boot faster.
QUICK_KERNEL = ("mitigations=off", "nopti", "no5lvl", "net.ifnames=0", "tsc=reliable", "panic=-1")
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Accelerator:
    """An accelerator of qemu.

    :param arguments: options for qemu.
    :param reason: why it was chosen.
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
    """Choose KVM if a kernel boots with it. /dev/kvm alone is no proof: paravirtual KVM boots no stock kernel."""
    flags = set(re.findall(r"\b(?:svm|vmx)\b", Path("/proc/cpuinfo").read_text()))
    if not flags:
        return _emulation("no KVM: the processor has neither svm nor vmx")
    if Path("/sys/module/kvm_pvm").exists():
        return _emulation("no KVM: kvm_pvm cannot boot a stock kernel")
    if not Path("/dev/kvm").exists():
        return _emulation("no KVM: /dev/kvm is missing")
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
            process.wait(_PROBE_SECONDS)  # it panics without a root file system, which ends qemu
        return console.exists() and "Linux version" in console.read_text(errors="replace")


@contextmanager
def running(arguments: Sequence[str], output: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """Run qemu until the block ends or this process dies.

    :param output: as ``stdout`` of Popen. Unless it is DEVNULL, standard error goes to it too.
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
